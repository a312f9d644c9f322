//! Commands (TPM 2.0 Library, part 3), as bytes.

use super::{
    open::EncryptedCredential,
    response::Handle,
    template::{EkTemplate, storage_root_key},
};
use tpm2_protocol::{
    TpmError, TpmWriter,
    data::{
        Tpm2bAuth, Tpm2bData, Tpm2bDigest, Tpm2bEncryptedSecret, Tpm2bIdObject, Tpm2bNonce,
        Tpm2bSensitiveCreate, TpmAlgId, TpmRh, TpmSe, TpmSt, TpmaSession, TpmlPcrSelection,
        TpmsAuthCommand, TpmtPublic, TpmtSymDef, TpmuSymKeyBits, TpmuSymMode,
    },
    frame::{
        TpmActivateCredentialCommand, TpmCreatePrimaryCommand, TpmFlushContextCommand, TpmFrame,
        TpmPolicySecretCommand, TpmStartAuthSessionCommand, tpm_marshal_command,
    },
};

/// No command of ours is longer: that which creates a key has some 400 octets, and one that activates a
/// credential has more only where the credential does not fit a TPM.
const LONGEST: usize = 4096;

/// A command that no TPM could take: what was received for it is too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("what metalman sent does not fit into a command for a TPM")]
pub struct BuildError;

impl From<TpmError> for BuildError {
    fn from(_: TpmError) -> Self {
        Self
    }
}

/// `TPM2_CreatePrimary` (section 24.1) of the endorsement key.
///
/// # Errors
///
/// None, as its parts are constants.
pub fn create_ek(template: EkTemplate) -> Result<Vec<u8>, BuildError> {
    create(TpmRh::Endorsement, template.public()?)
}

/// `TPM2_CreatePrimary` of the storage root key.
///
/// # Errors
///
/// None, as its parts are constants.
pub fn create_srk() -> Result<Vec<u8>, BuildError> {
    create(TpmRh::Owner, storage_root_key()?)
}

pub(super) fn create(hierarchy: TpmRh, template: TpmtPublic) -> Result<Vec<u8>, BuildError> {
    let command = TpmCreatePrimaryCommand {
        handles: [hierarchy.value().into()],
        in_sensitive: Tpm2bSensitiveCreate::default(),
        in_public: template.into(),
        outside_info: Tpm2bData::default(),
        creation_pcr: TpmlPcrSelection::default(),
    };
    build(&command, &[empty_password()])
}

/// `TPM2_StartAuthSession` (section 11.1) of a policy session, neither bound nor salted: what it protects
/// travels within the machine.
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn start_policy_session(nonce: &[u8; 32]) -> Result<Vec<u8>, BuildError> {
    let nothing: u32 = TpmRh::Null.value();
    let command = TpmStartAuthSessionCommand {
        handles: [nothing.into(), nothing.into()],
        nonce_caller: Tpm2bNonce::try_from(&nonce[..])?,
        encrypted_salt: Tpm2bEncryptedSecret::default(),
        session_type: TpmSe::Policy,
        symmetric: TpmtSymDef {
            algorithm: TpmAlgId::Null,
            key_bits: TpmuSymKeyBits::Null,
            mode: TpmuSymMode::Null,
        },
        auth_hash: TpmAlgId::Sha256,
    };
    build(&command, &[])
}

/// `TPM2_PolicySecret` (section 23.4) with the password of the endorsement hierarchy, which is what the
/// policy of an EK asks for.
///
/// # Errors
///
/// None, as its parts are constants.
pub fn policy_secret(session: Handle) -> Result<Vec<u8>, BuildError> {
    let command = TpmPolicySecretCommand {
        handles: [TpmRh::Endorsement.value().into(), session.0.into()],
        nonce_tpm: Tpm2bNonce::default(),
        cp_hash_a: Tpm2bDigest::default(),
        policy_ref: Tpm2bNonce::default(),
        expiration: 0.into(),
    };
    build(&command, &[empty_password()])
}

/// `TPM2_ActivateCredential` (section 12.5): for the SRK, by the EK in a session of its policy.
///
/// # Errors
///
/// A part of the credential is longer than a TPM can take.
pub fn activate_credential(
    srk: Handle,
    ek: Handle,
    session: Handle,
    wrapped: &EncryptedCredential,
) -> Result<Vec<u8>, BuildError> {
    let command = TpmActivateCredentialCommand {
        handles: [srk.0.into(), ek.0.into()],
        credential_blob: Tpm2bIdObject::try_from(wrapped.blob.as_slice())?,
        secret: Tpm2bEncryptedSecret::try_from(wrapped.secret.as_slice())?,
    };
    build(&command, &[empty_password(), auth(session.0)])
}

/// `TPM2_FlushContext` (section 28.4).
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn flush(handle: Handle) -> Result<Vec<u8>, BuildError> {
    build(&TpmFlushContextCommand { handles: [], flush_handle: handle.0.into() }, &[])
}

pub(super) fn empty_password() -> TpmsAuthCommand {
    auth(TpmRh::Pw.value())
}

/// A session, which ends with a flush and not by itself, so that it is flushed in the same way always.
fn auth(session: u32) -> TpmsAuthCommand {
    TpmsAuthCommand {
        session_handle: session.into(),
        nonce: Tpm2bNonce::default(),
        session_attributes: TpmaSession::CONTINUE_SESSION,
        hmac: Tpm2bAuth::default(),
    }
}

pub(super) fn build<C: TpmFrame>(
    command: &C,
    sessions: &[TpmsAuthCommand],
) -> Result<Vec<u8>, BuildError> {
    let mut buffer = [0; LONGEST];
    let mut writer = TpmWriter::new(&mut buffer);
    let tag = if sessions.is_empty() { TpmSt::NoSessions } else { TpmSt::Sessions };
    tpm_marshal_command(command, tag, sessions, &mut writer)?;
    Ok(writer.as_bytes().to_vec())
}
