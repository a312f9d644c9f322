//! The two keys of an attestation, while they are loaded.

use super::{Tpm, TpmError, of_hierarchy};
use metal_attest::client::{
    EkTemplate, Handle, Wrapped, activate_credential, activated, create_ek, create_srk, created,
    done, flush, policy_secret, start_policy_session, started,
};
use ring::rand::{SecureRandom, SystemRandom};

/// EK and SRK. Whatever becomes of them, they are flushed: a TPM has room for three objects.
pub(crate) struct Keys {
    tpm: Tpm,
    loaded: Vec<Handle>,
    ek: Vec<u8>,
    srk: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl Keys {
    /// Creates both, and reads the certificates of the first.
    pub(crate) fn create(tpm: Tpm, template: EkTemplate) -> Result<Self, TpmError> {
        let (ek, srk, certificates) = (vec![], vec![], vec![]);
        let mut keys = Self { tpm, loaded: vec![], ek, srk, certificates };
        keys.ek = keys.load(&create_ek(template)?).map_err(of_hierarchy("endorsement"))?;
        keys.srk = keys.load(&create_srk()?).map_err(of_hierarchy("owner"))?;
        keys.certificates = keys.tpm.ek_certificates(template)?;
        Ok(keys)
    }

    /// TPM2B_PUBLIC of the endorsement key.
    pub(crate) fn ek(&self) -> &[u8] {
        &self.ek
    }

    /// TPM2B_PUBLIC of the storage root key.
    pub(crate) fn srk(&self) -> &[u8] {
        &self.srk
    }

    /// Its certificate, and those between it and a root, each in DER; none, if the TPM has none.
    pub(crate) fn certificates(&self) -> Vec<&[u8]> {
        self.certificates.iter().map(Vec::as_slice).collect()
    }

    /// Opens a credential.
    pub(crate) fn activate(&mut self, wrapped: &Wrapped) -> Result<[u8; 32], TpmError> {
        let mut nonce = [0; 32];
        SystemRandom::new().fill(&mut nonce).map_err(|_| TpmError::Random)?;
        let session = self.tpm.run(&start_policy_session(&nonce)?, started)?;
        self.loaded.push(session);
        let secret = self.tpm.run(&policy_secret(session)?, done);
        secret.map_err(of_hierarchy("endorsement"))?;
        let [ek, srk] = [0, 1].map(|at| self.loaded.get(at).copied().unwrap_or(session));
        let command = activate_credential(srk, ek, session, &wrapped.blob, &wrapped.secret)?;
        self.tpm.run(&command, activated)
    }

    fn load(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        let created = self.tpm.run(command, created)?;
        self.loaded.push(created.handle);
        Ok(created.public)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for handle in self.loaded.drain(..).rev() {
            let flushed = flush(handle).map_err(TpmError::from);
            let flushed = flushed.and_then(|command| self.tpm.run(&command, done));
            if let Err(error) = flushed {
                tracing::debug!(%error, "not flushed; the kernel does it when the TPM is closed");
            }
        }
    }
}
