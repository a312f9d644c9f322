//! Responses of a TPM (TPM 2.0 Library, part 1, section 18.4).

use std::fmt;
use tpm2_protocol::{
    TpmMarshal, TpmWriter,
    data::{TpmRc, TpmRcBase},
    frame::{
        TpmActivateCredentialResponse, TpmCreatePrimaryResponse, TpmResponse,
        TpmStartAuthSessionResponse, TpmUnmarshalBody,
    },
};

/// No response of a TPM is longer (`MAX_RESPONSE_SIZE` of the reference implementation).
pub(crate) const LONGEST: usize = 4096;

/// Something that is loaded in a TPM: a key or a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Handle(pub(crate) u32);

/// A key that was created.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Created {
    /// It, loaded.
    pub handle: Handle,
    /// Its public part, a TPM2B_PUBLIC.
    pub public: Vec<u8>,
}

/// The code of a response that is no success (part 2, section 6.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rc(u32);

impl Rc {
    /// Whether the same command may succeed in a moment: the TPM tests itself, or does something else.
    pub fn is_busy(self) -> bool {
        matches!(self.base(), Some(TpmRcBase::Retry | TpmRcBase::Yielded | TpmRcBase::Testing))
    }

    /// Whether there is nothing that a handle or an index names.
    pub fn is_missing(self) -> bool {
        self.base() == Some(TpmRcBase::Handle)
    }

    /// Whether the empty password is not that of the hierarchy or key.
    pub fn is_password(self) -> bool {
        matches!(self.base(), Some(TpmRcBase::BadAuth | TpmRcBase::AuthFail))
    }

    /// Whether the hierarchy is disabled.
    pub fn is_disabled(self) -> bool {
        self.base() == Some(TpmRcBase::Hierarchy)
    }

    fn base(self) -> Option<TpmRcBase> {
        // The kernel's resource manager marks its own codes in the higher half.
        TpmRc::try_from(self.0 & 0xffff).ok().map(|it| it.base())
    }
}

impl fmt::Display for Rc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base() {
            Some(base) => write!(f, "{base} ({:#x})", self.0),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// Why a response says nothing useful.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResponseError {
    /// The TPM refused the command.
    #[error("the TPM answered {0}")]
    Refused(Rc),
    /// It is not the response to that command.
    #[error("the TPM's answer cannot be read")]
    Malformed,
}

/// The key that [`create_ek`](super::create_ek) or [`create_srk`](super::create_srk) has created.
///
/// # Errors
///
/// There is none.
pub fn created(response: &[u8]) -> Result<Created, ResponseError> {
    let parsed: TpmCreatePrimaryResponse = body(response)?;
    let mut buffer = [0; LONGEST];
    let mut writer = TpmWriter::new(&mut buffer);
    parsed.out_public.marshal(&mut writer).map_err(|_| ResponseError::Malformed)?;
    let [handle] = parsed.handles;
    Ok(Created { handle: Handle(handle.into()), public: writer.as_bytes().to_vec() })
}

/// The session that [`start_policy_session`](super::start_policy_session) has started.
///
/// # Errors
///
/// There is none.
pub fn started(response: &[u8]) -> Result<Handle, ResponseError> {
    let [handle] = body::<TpmStartAuthSessionResponse>(response)?.handles;
    Ok(Handle(handle.into()))
}

/// The credential that [`activate_credential`](super::activate_credential) has opened.
///
/// # Errors
///
/// It was not for this TPM, or it is of another length than an AES-256 key.
pub fn activated(response: &[u8]) -> Result<[u8; 32], ResponseError> {
    let parsed: TpmActivateCredentialResponse = body(response)?;
    parsed.cert_info.as_ref().try_into().map_err(|_| ResponseError::Malformed)
}

/// Whether a command succeeded whose response says nothing more.
///
/// # Errors
///
/// It did not.
pub fn done(response: &[u8]) -> Result<(), ResponseError> {
    frame(response).map(drop)
}

pub(super) fn body<R: TpmUnmarshalBody>(response: &[u8]) -> Result<R, ResponseError> {
    frame(response)?.unmarshal().map_err(|_| ResponseError::Malformed)
}

fn frame(response: &[u8]) -> Result<&TpmResponse, ResponseError> {
    if response.len() > LONGEST {
        return Err(ResponseError::Malformed);
    }
    let code = response.get(6..10).and_then(|it| it.try_into().ok());
    let code = u32::from_be_bytes(code.ok_or(ResponseError::Malformed)?);
    if code != 0 {
        return Err(ResponseError::Refused(Rc(code)));
    }
    TpmResponse::cast(response).map_err(|_| ResponseError::Malformed)
}
