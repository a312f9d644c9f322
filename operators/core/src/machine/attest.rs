//! Whether who presents an endorsement key is the machine: the first key that is seen is pinned, and
//! no other is taken until a person says so.

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

/// Judges a key; `compare` compares it to what is pinned.
pub fn judge(
    machine: &Machine,
    presented: Presented<'_>,
    compare: impl FnOnce(&str) -> Compared,
    now: Timestamp,
) -> Verdict {
    let old = machine.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let mut say = |holds, reason, message: &str| {
        let fact = Fact { type_: condition::TPM_VERIFIED, holds, reason, message };
        conditions::set(&mut new.conditions, fact, machine.metadata.generation, now);
    };
    let is_new = |compared: &Compared| *compared != Compared::Same;
    let compared = pinned(&old).map(compare);
    let is_accepted = compared.as_ref().is_some_and(is_new)
        && accepted::endorsement_key(machine, presented.fingerprint);
    let compared = compared.filter(|_| !is_accepted);
    match compared {
        None => say(true, "Pinned", &key(presented)),
        Some(Compared::Same) => say(true, "Verified", &key(presented)),
        // Whoever is at that address may present key after key: the message is the same for each.
        Some(Compared::Differs) => say(
            false,
            KEY_DIFFERS,
            "another endorsement key was presented than the one that is pinned: look at the machine; if \
             its TPM was replaced, annotate this Machine with bloomery.dev/accept-endorsement-key and the \
             SHA-256 of the new key, which is in the event",
        ),
        Some(Compared::Unreadable) => say(
            false,
            "PinUnreadable",
            "status.tpm.ekPublicKey is no public key in PEM: remove status.tpm, and the next key is pinned",
        ),
    }
    if compared.is_none() {
        new.tpm = Some(MachineTpmStatus { ek_public_key: Some(presented.pem.to_owned()) });
    }
    let news = (!is_same(&old, &new)).then(|| Box::new(new));
    match compared {
        None | Some(Compared::Same) => Verdict::Admitted(news),
        Some(Compared::Differs | Compared::Unreadable) => Verdict::Refused(news),
    }
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
