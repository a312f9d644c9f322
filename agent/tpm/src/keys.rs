//! The three keys of an attestation, while they are loaded.

use crate::{Tpm, TpmError, of_hierarchy};
use metal_attest::{
    Pcrs, Quote,
    client::{
        EkTemplate, EncryptedCredential, Handle, ResponseError, activate_credential, activated,
        create_ak, create_ek, create_srk, created, done, flush, pcr_read, pcr_values,
        policy_secret, quote, quoted, start_policy_session, started,
    },
};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeSet;

/// Indexes in [`Keys::loaded`].
const EK: usize = 0;
const SRK: usize = 1;
const AK: usize = 2;

/// EK, SRK and AK. They are flushed in any case: a TPM has room for three objects.
#[derive(Debug)]
pub struct Keys {
    tpm: Tpm,
    loaded: Vec<Handle>,
    ek: Vec<u8>,
    srk: Vec<u8>,
    ak: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

impl Keys {
    /// Creates them, and reads the certificates of the first.
    ///
    /// # Errors
    ///
    /// If the TPM does not do it.
    pub fn create(tpm: Tpm, template: EkTemplate) -> Result<Self, TpmError> {
        let (ek, srk, ak, certificates) = (vec![], vec![], vec![], vec![]);
        let mut keys = Self { tpm, loaded: vec![], ek, srk, ak, certificates };
        // Created again for a quote, from the same template: others may need the room in the meantime.
        keys.ak = keys.load(&create_ak()?).map_err(of_hierarchy("endorsement"))?;
        keys.unload()?;
        keys.ek = keys.load(&create_ek(template)?).map_err(of_hierarchy("endorsement"))?;
        keys.srk = keys.load(&create_srk()?).map_err(of_hierarchy("owner"))?;
        keys.certificates = keys.tpm.ek_certificates(template)?;
        Ok(keys)
    }

    /// TPM2B_PUBLIC of the endorsement key.
    pub fn ek(&self) -> &[u8] {
        &self.ek
    }

    /// TPM2B_PUBLIC of the storage root key.
    pub fn srk(&self) -> &[u8] {
        &self.srk
    }

    /// TPM2B_PUBLIC of the attestation key.
    pub fn ak(&self) -> &[u8] {
        &self.ak
    }

    /// Its certificate, and those between it and a root, each in DER; empty if the TPM has none.
    pub fn certificates(&self) -> Vec<&[u8]> {
        self.certificates.iter().map(Vec::as_slice).collect()
    }

    /// Answers a challenge: the nonce in it is for the attestation key.
    ///
    /// # Errors
    ///
    /// If it is for another TPM, or the TPM does not do it.
    pub fn quote(&mut self, nonce: &EncryptedCredential, pcrs: &[u8]) -> Result<Quote, TpmError> {
        self.load(&create_ak()?)?;
        let nonce = self.open(AK, nonce)?;
        let (wanted, mut values) = (pcrs.iter().copied().collect::<BTreeSet<_>>(), Pcrs::new());
        // A TPM returns some of them at a time.
        for _ in 0..wanted.len() {
            let known: BTreeSet<u8> = values.keys().copied().collect();
            let missing = &wanted - &known;
            if missing.is_empty() {
                break;
            }
            values.extend(self.tpm.run(&pcr_read(&missing)?, pcr_values)?);
        }
        let ak = self.loaded.get(AK).copied().ok_or(ResponseError::Malformed)?;
        let (quoted, signature) = self.tpm.run(&quote(ak, &nonce, &wanted)?, quoted)?;
        self.unload()?;
        Ok(Quote { quoted, signature, pcrs: values })
    }

    /// Opens a credential for the storage root key.
    ///
    /// # Errors
    ///
    /// If it is for another TPM, or the TPM does not do it.
    pub fn activate(&mut self, wrapped: &EncryptedCredential) -> Result<[u8; 32], TpmError> {
        self.open(SRK, wrapped)
    }

    /// Opens a credential for the key that was loaded at this place.
    fn open(&mut self, at: usize, wrapped: &EncryptedCredential) -> Result<[u8; 32], TpmError> {
        let mut nonce = [0; 32];
        SystemRandom::new().fill(&mut nonce).map_err(|_| TpmError::Random)?;
        let session = self.tpm.run(&start_policy_session(&nonce)?, started)?;
        self.loaded.push(session);
        let secret = self.tpm.run(&policy_secret(session)?, done);
        secret.map_err(of_hierarchy("endorsement"))?;
        let [ek, key] = [EK, at].map(|at| self.loaded.get(at).copied().unwrap_or(session));
        let command = activate_credential(key, ek, session, wrapped)?;
        let opened = self.tpm.run(&command, activated)?;
        // A TPM has room for three sessions, and this one is used up.
        self.loaded.retain(|it| *it != session);
        self.tpm.run(&flush(session)?, done)?;
        Ok(opened)
    }

    /// Flushes what was loaded last.
    fn unload(&mut self) -> Result<(), TpmError> {
        match self.loaded.pop() {
            Some(handle) => self.tpm.run(&flush(handle)?, done),
            None => Ok(()),
        }
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
