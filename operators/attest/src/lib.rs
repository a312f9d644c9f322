//! Secrets that only one TPM 2.0 can open: with these, a machine that has no secret yet gets the
//! token with which it joins a cluster.
//!
//! The machine sends two public keys: its *endorsement key* (EK), whose private part never leaves
//! its TPM and does not change during the TPM's life, and its *storage root key* (SRK). The token
//! is encrypted with a fresh key, and that key is wrapped by `MakeCredential` (TPM 2.0 Library,
//! part 1, section 24). A TPM unwraps it only if it holds both private keys.
//!
//! ```
//! use metal_attest::{Request, seal};
//! use ring::rand::SystemRandom;
//!
//! # fn answer(body: &[u8]) -> Result<String, Box<dyn std::error::Error>> {
//! let request = Request::parse(body)?;
//! // Here goes what is no business of this crate: is this the EK of that machine?
//! let sealed = seal(&request, b"the token", &SystemRandom::new())?;
//! Ok(serde_json::to_string(&sealed.into_response(None))?)
//! # }
//! ```
//!
//! The wire format is that of Azure/unbounded's metalman, so that its agent works unchanged. This
//! crate is stricter: an EK must be from one of the TCG's default templates (see
//! [`EndorsementKey`]), and an SRK must be a storage key of a TPM. Without a certificate of the EK,
//! software can still present an EK of its own; what is proved is that later secrets go to whoever
//! presented that key first. [`Roots::verify`] says whether a certificate of the maker of the TPM is
//! there.

mod certificate;
pub mod client;
mod credential;
mod curve;
mod endorsement;
mod event_log;
mod kdf;
mod oaep;
mod public;
mod quote;
mod seal;
mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod wire;

#[cfg(test)]
mod tests;

pub use certificate::{CertificateError, MAX_CERTIFICATES, Roots, RootsError};
pub use credential::SealError;
pub use endorsement::{EndorsementKey, UnreadablePem};
pub use event_log::{Event, EventLog, EventLogError, EventType, MAX_EVENT_LOG};
pub use public::KeyError;
pub use quote::{AttestationKey, Challenge, ChallengeSecret, Pcrs, Quote, QuoteError};
pub use seal::{Sealed, challenge, seal};
pub use storage::StorageKey;
pub use wire::{Answer, ChallengeMessage, MAX_BODY, Request, RequestError, Response};
