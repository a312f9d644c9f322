//! Whether who presents an endorsement key is the machine: the key that its Machine names, or the first one
//! that is seen, which is pinned; no other is taken until a person says so.

use super::accepted;
use crate::conditions::{self, Fact};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{Machine, MachineStatus, MachineTpmStatus, condition};
use std::sync::Arc;

/// Reason of the condition where another key was presented.
pub const KEY_DIFFERS: &str = "KeyDiffers";

/// Why nobody is attested at an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error, strum::IntoStaticStr)]
pub enum Stranger {
    /// No Machine has that address.
    #[error("no Machine has this address")]
    Unknown,
    /// More than one has it, or has another address of the one that does.
    #[error("more than one Machine has an address of this one")]
    Ambiguous,
}

/// The Machine whose address it is. `holders` are those that have it, `has_twins` says of one whether it
/// shares any address.
///
/// # Errors
///
/// There is none, or more than one.
pub fn whose(
    holders: &[Arc<Machine>],
    has_twins: impl Fn(&Machine) -> bool,
) -> Result<&Arc<Machine>, Stranger> {
    match holders {
        [] => Err(Stranger::Unknown),
        [one] if one.metadata.deletion_timestamp.is_some() => Err(Stranger::Unknown),
        [one] if !has_twins(one) => Ok(one),
        _ => Err(Stranger::Ambiguous),
    }
}

/// How a key compares to the one that is pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compared {
    /// It is the same.
    Same,
    /// It is another.
    Differs,
    /// What is pinned is no key that can be read.
    Unreadable,
}

/// A key that was presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The key, as PEM.
    pub pem: &'a str,
    /// SHA-256 of it, in hexadecimal digits.
    pub fingerprint: &'a str,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is the machine. The status says so already, or has to first.
    Admitted(Option<Box<MachineStatus>>),
    /// It is not. The status says so already, or has to.
    Refused(Option<Box<MachineStatus>>),
}

/// The key that is pinned, as PEM.
pub fn pinned(status: &MachineStatus) -> Option<&str> {
    let pem = status.tpm.as_ref()?.ek_public_key.as_deref()?;
    (!pem.trim().is_empty()).then_some(pem)
}

/// The condition that says that another key was presented last.
pub fn refused(status: &MachineStatus) -> Option<&Condition> {
    status.conditions.iter().find(|it| it.type_ == condition::TPM_VERIFIED && it.status == "False")
}

/// What a key is to a Machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// It is pinned from now on.
    Pinned,
    /// It is the one that is pinned.
    Verified,
    /// Another one is pinned.
    Differs,
    /// The Machine names another one.
    NotExpected,
    /// Nobody can read what is pinned.
    Unreadable,
}

/// Judges a key; `compare` compares it to what is pinned.
pub fn judge(
    machine: &Machine,
    presented: Presented<'_>,
    compare: impl FnOnce(&str) -> Compared,
    now: Timestamp,
) -> Verdict {
    let old = machine.status.clone().unwrap_or_default();
    let outcome = outcome(machine, presented, pinned(&old).map(compare));
    let (holds, reason, message) = told(outcome, presented);
    let mut new = old.clone();
    let fact = Fact { type_: condition::TPM_VERIFIED, holds, reason, message: &message };
    conditions::set(&mut new.conditions, fact, machine.metadata.generation, now);
    if outcome == Outcome::Pinned {
        new.tpm = Some(MachineTpmStatus { ek_public_key: Some(presented.pem.to_owned()) });
    }
    let news = (!is_same(&old, &new)).then(|| Box::new(new));
    if holds { Verdict::Admitted(news) } else { Verdict::Refused(news) }
}

/// Where the Machine names a key, nothing else counts: neither who came first, nor an annotation.
fn outcome(machine: &Machine, presented: Presented<'_>, compared: Option<Compared>) -> Outcome {
    let attestation = machine.spec.pxe.as_ref().and_then(|it| it.attestation.as_ref());
    let expected = attestation.and_then(|it| it.ek_hash.as_deref());
    let is_expected = expected.map(|hash| hash.eq_ignore_ascii_case(presented.fingerprint));
    match (is_expected, compared) {
        (Some(false), _) => Outcome::NotExpected,
        (_, Some(Compared::Same)) => Outcome::Verified,
        (Some(true), _) | (None, None) => Outcome::Pinned,
        _ if accepted::endorsement_key(machine, presented.fingerprint) => Outcome::Pinned,
        (None, Some(Compared::Differs)) => Outcome::Differs,
        (None, Some(Compared::Unreadable)) => Outcome::Unreadable,
    }
}

/// What the condition says: whether it holds, why, and a message. Whoever is at that address may present key
/// after key: the message about a refusal is the same for each.
fn told(outcome: Outcome, presented: Presented<'_>) -> (bool, &'static str, String) {
    let text = match outcome {
        Outcome::Pinned => return (true, "Pinned", key(presented)),
        Outcome::Verified => return (true, "Verified", key(presented)),
        Outcome::Differs => {
            "another endorsement key was presented than the one that is pinned: look at the machine; if its TPM              was replaced, annotate this Machine with bloomery.dev/accept-endorsement-key and the SHA-256 of the              new key, which is in the event"
        }
        Outcome::NotExpected => {
            "another endorsement key was presented than the one that spec.pxe.attestation.ekHash names: look at              the machine; if its TPM was replaced, set ekHash to the SHA-256 of the new key, which is in the              event"
        }
        Outcome::Unreadable => {
            "status.tpm.ekPublicKey is no public key in PEM: remove status.tpm, and the next key is pinned"
        }
    };
    let reason = if outcome == Outcome::Unreadable { "PinUnreadable" } else { KEY_DIFFERS };
    (false, reason, text.to_owned())
}

fn key(presented: Presented<'_>) -> String {
    format!("SHA-256 of the endorsement key: {}", presented.fingerprint)
}

/// Whether nothing is told that was not told before. A pin that is verified stays `Pinned` in words: one
/// write for each machine is enough.
fn is_same(old: &MachineStatus, new: &MachineStatus) -> bool {
    let told = |status: &MachineStatus| {
        let condition = status.conditions.iter().find(|it| it.type_ == condition::TPM_VERIFIED);
        condition.map(|it| {
            let reason = (it.status != "True").then(|| it.reason.clone());
            (it.status.clone(), reason, it.message.clone())
        })
    };
    old.tpm == new.tpm && told(old) == told(new)
}
