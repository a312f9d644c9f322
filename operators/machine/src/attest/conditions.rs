//! The conditions of a Machine about the endorsement keys that were presented.

use super::{Certificate, Judged, Outcome, Presented, accepted};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{Machine, MachineStatus, annotation, condition};
use metal_core::conditions::{self, Fact};

/// Why an endorsement key is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// Another key is pinned.
    KeyDiffers,
    /// The Machine names another key.
    KeyNotExpected,
    /// The pinned key cannot be parsed.
    PinUnreadable,
    /// It is the first key, and has no certificate that it is in a TPM.
    CertificateMissing,
    /// It is the first key, and its certificate is not valid.
    CertificateRefused,
    /// The Machine requires a quote, and its agent makes none.
    QuoteMissing,
    /// Its quote is not valid.
    QuoteRefused,
    /// The machine has booted something that the Machine does not allow.
    PcrDiffers,
    /// No key is pinned, but its Node is older than the record of the machine.
    PinMissing,
    /// It would be the first key, but belongs to another Machine.
    KeyOfAnother,
}

impl Refusal {
    const ALL: [Self; 10] = [
        Self::KeyDiffers,
        Self::KeyNotExpected,
        Self::PinUnreadable,
        Self::CertificateMissing,
        Self::CertificateRefused,
        Self::QuoteMissing,
        Self::QuoteRefused,
        Self::PcrDiffers,
        Self::PinMissing,
        Self::KeyOfAnother,
    ];

    /// Reason of the condition and of the event.
    pub fn reason(self) -> &'static str {
        match self {
            Self::KeyDiffers | Self::KeyNotExpected => "KeyDiffers",
            Self::PinUnreadable => "PinUnreadable",
            Self::CertificateMissing => "CertificateMissing",
            Self::CertificateRefused => "CertificateRefused",
            Self::QuoteMissing => "QuoteMissing",
            Self::QuoteRefused => "QuoteRefused",
            Self::PcrDiffers => "PCRDiffers",
            Self::PinMissing => "PinMissing",
            Self::KeyOfAnother => "KeyOfAnother",
        }
    }

    /// The refusal that a condition records.
    pub(crate) fn of(condition: &Condition) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.reason() == condition.reason)
    }

    /// The host at that address may present key after key: the text is the same for all of them.
    fn text(self) -> &'static str {
        match self {
            Self::KeyDiffers => {
                "another endorsement key was presented than the one that is pinned: look at the machine; if its \
                 TPM was replaced, annotate this Machine with bloomery.dev/accept-endorsement-key and the SHA-256 \
                 of the new key, which is in the event"
            }
            Self::KeyNotExpected => {
                "another endorsement key was presented than the one that spec.pxe.attestation.ekHash names: look \
                 at the machine; if its TPM was replaced, set ekHash to the SHA-256 of the new key, which is in \
                 the event"
            }
            Self::PinUnreadable => {
                "status.tpm.ekPublicKey is no public key in PEM: remove status.tpm, and the next key is pinned"
            }
            Self::CertificateMissing => {
                "an endorsement key was presented without a certificate, which --ek-roots-path asks for: look at \
                 the machine, and set spec.pxe.attestation.ekHash to the SHA-256 of its key, which is in the event"
            }
            Self::CertificateRefused => {
                "the certificate of the endorsement key that was presented proves nothing to the roots of \
                 --ek-roots-path: add the one that is missing, or set spec.pxe.attestation.ekHash to the SHA-256 \
                 of the key, which is in the event"
            }
            Self::QuoteMissing => {
                "spec.pxe.attestation.pcrs asks for a quote, which the agent of this machine does not make: use \
                 metal-agent"
            }
            Self::QuoteRefused => "the quote that was presented proves nothing",
            Self::PinMissing => {
                "no endorsement key is pinned, but the Node of this Machine is ready, and was there before its \
                 status: if it is the machine that has presented a key, annotate this Machine with \
                 bloomery.dev/accept-endorsement-key and the SHA-256 of the key, which is in the event, or set \
                 spec.pxe.attestation.ekHash to it"
            }
            Self::KeyOfAnother => {
                "the endorsement key that was presented is pinned for another Machine, and a TPM is in one machine: \
                 look at both; whoever had the address of the other one may have presented this key there: if \
                 that pin is false, remove status.tpm of the other Machine; if the TPM is in this one by now, delete \
                 the other Machine, or annotate this one with bloomery.dev/accept-endorsement-key and the SHA-256 \
                 of the key, which is in the event, or set spec.pxe.attestation.ekHash to it"
            }
            Self::PcrDiffers => {
                "the machine has booted something that spec.pxe.attestation.pcrs does not allow: look at it, or \
                 add the value if it is meant"
            }
        }
    }
}

/// Sets the condition about the last boot: that it is refused and why, or that it is allowed.
pub(super) fn set_boot(
    all: &mut Vec<Condition>,
    refusal: Option<&(Refusal, String)>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let (holds, reason, message) = match refusal {
        None => (true, "Allowed", String::new()),
        Some((refusal, what)) if what.is_empty() => {
            (false, refusal.reason(), refusal.text().to_owned())
        }
        Some((refusal, what)) => (false, refusal.reason(), format!("{} ({what})", refusal.text())),
    };
    let fact = Fact { type_: condition::BOOT_VERIFIED, holds, reason, message: &message };
    conditions::set(all, fact, generation, now);
}

impl Judged<'_> {
    /// Sets the condition about the key that was last presented.
    pub(super) fn tell(self, status: &mut MachineStatus, machine: &Machine, now: Timestamp) {
        let Self { presented, outcome } = self;
        let key = || format!("SHA-256 of the endorsement key: {}", presented.fingerprint);
        let (holds, reason, message) = match outcome {
            Outcome::Pinned => (true, "Pinned", key()),
            Outcome::Verified => (true, "Verified", key()),
            Outcome::Refused(refusal) => {
                (false, refusal.reason(), message(refusal, presented, machine))
            }
        };
        let fact = Fact { type_: condition::TPM_VERIFIED, holds, reason, message: &message };
        conditions::set(&mut status.conditions, fact, machine.metadata.generation, now);
    }
}

fn message(refusal: Refusal, presented: Presented<'_>, machine: &Machine) -> String {
    let unread =
        || accepted::unread(machine, annotation::ACCEPT_ENDORSEMENT_KEY, accepted::is_fingerprint);
    if matches!(refusal, Refusal::KeyDiffers | Refusal::PinMissing) {
        return format!("{}{}", refusal.text(), unread());
    }
    if let (Refusal::KeyOfAnother, Some(holder)) = (refusal, presented.holder) {
        return format!("{} ({holder}){}", refusal.text(), unread());
    }
    match presented.certificate {
        Certificate::Refused(why) if refusal == Refusal::CertificateRefused => {
            format!("{} ({why})", refusal.text())
        }
        Certificate::NotAsked
        | Certificate::Trusted
        | Certificate::Missing
        | Certificate::Refused(_) => refusal.text().to_owned(),
    }
}

/// Whether nothing is reported that was not reported before. A pin that is verified stays `Pinned` in words: one
/// write for each machine is enough.
pub(super) fn is_same(old: &MachineStatus, new: &MachineStatus) -> bool {
    let told = |status: &MachineStatus| {
        [condition::TPM_VERIFIED, condition::BOOT_VERIFIED].map(|type_| {
            let condition = status.conditions.iter().find(|it| it.type_ == type_);
            condition.map(|it| {
                let reason = (it.status != "True").then(|| it.reason.clone());
                (it.status.clone(), reason, it.message.clone())
            })
        })
    };
    old.tpm == new.tpm && told(old) == told(new)
}
