//! The challenge that a machine answers with a quote. Nobody has to remember it: it follows from a key that all
//! replicas share, and from a ticket that the machine sends back.

use super::AttestationKey;
use crate::{
    credential::{SealError, chance},
    endorsement::EndorsementKey,
};
use ring::{hmac, rand::SecureRandom};
use std::collections::BTreeSet;

/// For how long it may be answered, in seconds.
const LIFETIME: u64 = 120;

/// What the machine sends back. It reveals nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChallengeSecret {
    /// Random, so that it is used only once.
    pub salt: [u8; 16],
    /// Until when it may be answered, in seconds since 1970.
    pub expires: u64,
}

/// The subject of a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The UID of the Machine.
    pub machine: &'a str,
    /// Its endorsement key.
    pub ek: &'a EndorsementKey,
    /// The key that has to sign.
    pub ak: &'a AttestationKey,
    /// The PCRs that are requested.
    pub pcrs: &'a BTreeSet<u8>,
}

impl ChallengeSecret {
    /// A new one, at a time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// If the system provides no randomness.
    pub fn new(now: u64, random: &dyn SecureRandom) -> Result<Self, SealError> {
        Ok(Self { salt: chance(random)?, expires: now.saturating_add(LIFETIME) })
    }

    /// Whether it may be answered at this time.
    pub fn is_valid(self, now: u64) -> bool {
        now <= self.expires && self.expires <= now.saturating_add(LIFETIME)
    }
}

impl Challenge<'_> {
    /// The nonce, which only the TPM with both keys learns.
    pub fn nonce(&self, key: &[u8; 32], ticket: ChallengeSecret) -> [u8; 32] {
        let mut hmac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        let pcrs: Vec<_> = self.pcrs.iter().copied().collect();
        let expires = ticket.expires.to_be_bytes();
        let ek = self.ek.to_der();
        for part in [self.machine.as_bytes(), &ek, self.ak.name(), &pcrs, &ticket.salt, &expires] {
            // With its length, so that no two lists of parts are the same text.
            hmac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hmac.update(part);
        }
        let mut nonce = [0; 32];
        nonce.copy_from_slice(hmac.sign().as_ref());
        nonce
    }
}
