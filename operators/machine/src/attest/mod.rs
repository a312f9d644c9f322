//! Whether the host that presents an endorsement key is the machine: it has to be the key that its Machine
//! names, or the first one presented, with a certificate if roots are configured. The first key is pinned, and
//! no other is accepted until a person says so.

mod conditions;
mod measured;
#[cfg(test)]
mod tests;

pub use conditions::Refusal;
pub use measured::{EventLog, Logged, LoggedEvent, Measured, judge_boot, measured_pcrs};

use super::{
    accepted, is_ready,
    operations::{is_node_of, is_older_than},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{Machine, MachineStatus, MachineTpmStatus, condition};
use std::sync::Arc;

/// Why an address does not identify a Machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error, strum::IntoStaticStr)]
pub enum MachineLookupError {
    /// No Machine has that address.
    #[error("no Machine has this address")]
    Unknown,
    /// More than one has it, or has another address of the one that does.
    #[error("more than one Machine has an address of this one")]
    Ambiguous,
}

/// The Machine with an address. `holders` are those that have it; `has_twins` says whether one of them shares
/// any of its addresses.
///
/// # Errors
///
/// If there is none, or more than one.
pub fn whose(
    holders: &[Arc<Machine>],
    has_twins: impl Fn(&Machine) -> bool,
) -> Result<&Arc<Machine>, MachineLookupError> {
    match holders {
        [] => Err(MachineLookupError::Unknown),
        [one] if one.metadata.deletion_timestamp.is_some() => Err(MachineLookupError::Unknown),
        [one] if !has_twins(one) => Ok(one),
        _ => Err(MachineLookupError::Ambiguous),
    }
}

/// How a key compares with the pinned one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compared {
    /// It is the same key.
    Same,
    /// It is a different key.
    Differs,
    /// The pinned key cannot be parsed.
    Unreadable,
}

/// A key that was presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The key, as PEM.
    pub pem: &'a str,
    /// SHA-256 of it, in hexadecimal digits.
    pub fingerprint: &'a str,
    /// Its certificate.
    pub certificate: Certificate<'a>,
    /// Another Machine that it is pinned for.
    pub holder: Option<&'a str>,
}

/// The machine that the host claims to be.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    /// Its Machine.
    pub machine: &'a Machine,
    /// The Node of that name.
    pub node: Option<&'a Node>,
}

/// What the certificate of a key proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Certificate<'a> {
    /// Nothing: no roots are configured.
    NotAsked,
    /// That it is in a TPM, according to one of the roots.
    Trusted,
    /// Nothing: none was presented.
    Missing,
    /// Nothing, for this reason.
    Refused(&'a str),
}

/// The verdict about a presented key.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is the machine. The status has to be written first, unless it says so already.
    Admitted(Option<Box<MachineStatus>>),
    /// It is not the machine. The status has to be written, unless it says so already.
    Refused(Refusal, Option<Box<MachineStatus>>),
}

/// The key that is pinned, as PEM.
pub fn pinned(status: &MachineStatus) -> Option<&str> {
    let pem = status.tpm.as_ref()?.ek_public_key.as_deref()?;
    (!pem.trim().is_empty()).then_some(pem)
}

/// The SHA-256 of the key that is pinned, as [`Presented::fingerprint`] has it.
pub fn pinned_fingerprint(status: &MachineStatus) -> Option<String> {
    accepted::fingerprint(pinned(status)?)
}

/// The condition that says that another key was presented last.
pub fn refused(status: &MachineStatus) -> Option<&Condition> {
    status.conditions.iter().find(|it| it.type_ == condition::TPM_VERIFIED && it.status == "False")
}

/// The condition that the last boot was not allowed, if boots are checked.
pub fn boot_refused<'a>(machine: &Machine, status: &'a MachineStatus) -> Option<&'a Condition> {
    let is_refused = |it: &&Condition| it.type_ == condition::BOOT_VERIFIED && it.status == "False";
    let refused = status.conditions.iter().find(is_refused);
    refused.filter(|_| !measured_pcrs(machine).is_empty())
}

/// How a key relates to a Machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// It is going to be pinned.
    Pinned,
    /// It is the pinned one.
    Verified,
    /// It is refused.
    Refused(Refusal),
}

/// A key, and how it relates to the machine.
#[derive(Clone, Copy, Debug)]
struct Judged<'a> {
    presented: Presented<'a>,
    outcome: Outcome,
}

impl Claimed<'_> {
    /// Judges a key; `compare` compares it with the pinned one.
    pub fn judge(
        self,
        presented: Presented<'_>,
        compare: impl FnOnce(&str) -> Compared,
        now: Timestamp,
    ) -> Verdict {
        let old = self.machine.status.clone().unwrap_or_default();
        let outcome = self.outcome(presented, pinned(&old).map(compare));
        let mut new = old.clone();
        Judged { presented, outcome }.tell(&mut new, self.machine, now);
        if outcome == Outcome::Pinned {
            let ek_public_key = Some(presented.pem.to_owned());
            new.tpm = Some(MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() });
        }
        let news = (!conditions::is_same(&old, &new)).then(|| Box::new(new));
        match outcome {
            Outcome::Pinned | Outcome::Verified => Verdict::Admitted(news),
            Outcome::Refused(refusal) => Verdict::Refused(refusal, news),
        }
    }

    /// If the Machine names a key, nothing else counts: neither which key was first, nor a certificate, nor an
    /// annotation. A certificate is for the first key only: that a machine has another TPM now, only a person
    /// can say.
    fn outcome(self, presented: Presented<'_>, compared: Option<Compared>) -> Outcome {
        let attestation = self.machine.spec.pxe.as_ref().and_then(|it| it.attestation.as_ref());
        let expected = attestation.and_then(|it| it.ek_hash.as_deref());
        let is_expected = expected.map(|hash| hash.eq_ignore_ascii_case(presented.fingerprint));
        match (is_expected, compared) {
            (Some(false), _) => Outcome::Refused(Refusal::KeyNotExpected),
            (_, Some(Compared::Same)) => Outcome::Verified,
            (Some(true), _) => Outcome::Pinned,
            _ if accepted::endorsement_key(self.machine, presented.fingerprint) => Outcome::Pinned,
            (None, Some(Compared::Differs)) => Outcome::Refused(Refusal::KeyDiffers),
            (None, Some(Compared::Unreadable)) => Outcome::Refused(Refusal::PinUnreadable),
            (None, None) if self.has_lost_pin() => Outcome::Refused(Refusal::PinMissing),
            (None, None) => first(presented),
        }
    }

    /// Whether the status with the machine's key was lost: its own Node is ready, and was created before
    /// metalman knew the machine. Anything that runs on that Node could be the first to present a key. A machine
    /// whose Node is not ready has to join anew.
    fn has_lost_pin(self) -> bool {
        let node = self.node.filter(|it| is_ready(it) && is_node_of(self.machine, it));
        node.is_some_and(|node| is_older_than(node, self.machine.status.as_ref()))
    }
}

/// What becomes of the first key of a machine that names none. A TPM is in one machine: that of another may have
/// taken its address, and its certificate is as good.
fn first(presented: Presented<'_>) -> Outcome {
    if presented.holder.is_some() {
        return Outcome::Refused(Refusal::KeyOfAnother);
    }
    match presented.certificate {
        Certificate::NotAsked | Certificate::Trusted => Outcome::Pinned,
        Certificate::Missing => Outcome::Refused(Refusal::CertificateMissing),
        Certificate::Refused(_) => Outcome::Refused(Refusal::CertificateRefused),
    }
}
