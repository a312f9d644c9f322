//! The BMC of a Machine: its URL, its pinned certificate, and its readings.

use super::{
    super::{Observation, RESYNC, accepted},
    Change, Decision, Need, POLL, SILENT, certificate,
    identity::{self, Unidentified},
    lockout,
    own_node::{Ownership, is_older_than, ownership},
    pending, report,
};
use jiff::SignedDuration;
use metal_api::{Machine, MachineRedfish, MachineStatus, annotation};
use metal_core::{
    bmc::{Destination, Missing, REFUSED},
    machine_identity::{BmcAddress, bmc_address},
    redfish::{Credentials, PowerState, Scheme, SystemReading, Unreachable},
};

/// How often a BMC that was never reached is asked for its certificate while it is not needed: whoever has just
/// connected it waits for that.
pub(super) const UNPINNED: SignedDuration = SignedDuration::from_mins(2);

/// A reading of the system, or why there is none.
pub type Reading = Result<SystemReading, ReadError>;

/// The SHA-256 of a certificate as 32 pairs of lower-case digits separated by colons, or why there
/// is none.
pub type Certificate = Result<String, String>;

/// Why there is no reading of a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The Machine or its Secret is invalid.
    Unusable(Missing),
    /// The BMC presented a certificate other than the pinned one. No login was attempted.
    CertificateDiffers(String),
    /// There was no usable response.
    Silent(Unreachable),
}

/// The address and credentials of the BMC; `password` is the value of `passwordRef`, if it exists.
///
/// # Errors
///
/// If there is no password; an empty one is never sent.
pub fn destination(
    redfish: &MachineRedfish,
    place: BmcAddress,
    password: Option<&[u8]>,
) -> Result<Destination, Missing> {
    let reference = &redfish.password_ref;
    let (secret, key) = (&reference.name, reference.key.as_deref().unwrap_or_default());
    let refuse = |why: &str| {
        let namespace = &reference.namespace;
        let message = format!("spec.pxe.redfish.passwordRef: Secret {namespace}/{secret} {why}");
        Missing { reason: "PasswordMissing", message }
    };
    let password = password.ok_or_else(|| refuse(&format!("has no key {key:?}: add it")))?;
    let password = std::str::from_utf8(password).map_err(|_| refuse("is not UTF-8"))?;
    let password = password.strip_suffix('\n').unwrap_or(password);
    if password.is_empty() {
        return Err(refuse(&format!("has an empty key {key:?}: set the password")));
    }
    let (username, password) = (redfish.username.clone(), password.to_owned());
    let BmcAddress { scheme, host, port } = place;
    Ok(Destination { scheme, host, port, credentials: Credentials { username, password } })
}

/// Pins the first certificate that the BMC presents, before any login. `None` once it is pinned.
pub(super) fn pin(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    redfish: &MachineRedfish,
) -> Option<Decision> {
    let place = match bmc_address(redfish, seen.known.plain_http) {
        Ok(place) => place,
        Err(Missing { reason, message }) => {
            report::reachable(new, seen, Err((reason, &message)));
            return Some(Decision::Rest(RESYNC));
        }
    };
    if place.scheme == Scheme::Http {
        return None;
    }
    if let Some(accepted) = certificate::accepted(seen.machine) {
        if pinned(new) == Some(&accepted) {
            let annotation = annotation::ACCEPT_CERTIFICATE;
            return Some(Decision::Change(Change::Settle { annotation }));
        }
        new.redfish.get_or_insert_default().cert_fingerprint = Some(accepted);
    }
    if pinned(new).is_some() {
        return None;
    }
    match seen.known.certificate {
        None => Some(Decision::Look(Need::Certificate)),
        Some(Ok(certificate)) if has_lost_pin(new, seen) => {
            report::reachable(
                new,
                seen,
                Err(("PinMissing", &pin_missing(certificate, seen.machine))),
            );
            Some(Decision::Rest(RESYNC))
        }
        Some(Ok(certificate)) => {
            new.redfish.get_or_insert_default().cert_fingerprint = Some(certificate.clone());
            report::reachable(new, seen, Ok(()));
            None
        }
        Some(Err(why)) => {
            report::reachable(new, seen, Err(("NoAnswer", why)));
            Some(Decision::Rest(if is_needed(new, seen) { SILENT } else { UNPINNED }))
        }
    }
}

/// Whether anything is to be done by the BMC: an installation that waits for a reboot is not. Each attempt to reach one
/// that is away takes seconds, in which others wait: of a fleet, hundreds may be away.
fn is_needed(new: &MachineStatus, seen: &Observation<'_>) -> bool {
    let is_under_way = new.operations.as_ref().is_some_and(|it| it.current.is_some());
    is_under_way || pending::of(seen.machine, new).reboot.is_some()
}

/// Whether the status was lost that had the certificate of a BMC: the Node of the Machine was made before metalman
/// knew of the machine. Anybody may be at the address of the BMC by now, and would be sent its password.
fn has_lost_pin(new: &MachineStatus, seen: &Observation<'_>) -> bool {
    let own = seen.node.filter(|node| ownership(seen.machine, node) != Ownership::Another);
    own.is_some_and(|node| is_older_than(node, Some(new)))
}

fn pin_missing(certificate: &str, machine: &Machine) -> String {
    format!(
        "no certificate of the BMC is pinned, but the Node of this Machine was there before its status, so no \
         login was attempted; check the BMC, and if it is its certificate, annotate this Machine with \
         {}={certificate}{}",
        annotation::ACCEPT_CERTIFICATE,
        accepted::unread(machine, annotation::ACCEPT_CERTIFICATE, certificate::is_pairs)
    )
}

/// The pinned certificate of a BMC.
pub(super) fn pinned(status: &MachineStatus) -> Option<&str> {
    let pin = status.redfish.as_ref()?.cert_fingerprint.as_deref()?;
    (!pin.trim().is_empty()).then_some(pin)
}

/// A recent reading of the system.
///
/// # Errors
///
/// What to do to get one.
pub(super) fn system<'a>(
    new: &mut MachineStatus,
    seen: &Observation<'a>,
) -> Result<&'a SystemReading, Decision> {
    recent(new, seen, |reading| if reading.is_ok() { POLL } else { SILENT })
}

/// While nothing is to be done: reads the system once, so that it is known which hardware this is before
/// anybody switches it, and again if its BMC had no usable response when it was last needed.
pub(super) fn look(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    redfish: &MachineRedfish,
) -> Option<Decision> {
    let read = seen.known.reading.and_then(|(_, reading)| reading.as_ref().ok());
    let is_nameless = read.is_some_and(|system| system.uuid.is_none());
    let is_known = identity::recorded(new, redfish).is_some() || is_nameless;
    if is_known && !report::is_unreachable(new) {
        return None;
    }
    recent(new, seen, |reading| match reading {
        Err(ReadError::Silent(Unreachable::Unauthorized)) => REFUSED,
        Ok(_) | Err(_) => RESYNC,
    })
    .err()
}

fn recent<'a>(
    new: &mut MachineStatus,
    seen: &Observation<'a>,
    lasts: impl Fn(&Reading) -> SignedDuration,
) -> Result<&'a SystemReading, Decision> {
    if !seen.known.sharing.is_empty() {
        let others = seen.known.sharing.join(", ");
        let message = format!(
            "spec.pxe.redfish references a system that {others} also references: correct all but \
             one"
        );
        report::reachable(new, seen, Err(("SystemShared", &message)));
        return Err(Decision::Rest(RESYNC));
    }
    let Some((age, reading)) = seen.known.reading else {
        return Err(Decision::Look(Need::System));
    };
    let lasts = lasts(reading);
    if age >= lasts {
        return Err(Decision::Look(Need::System));
    }
    let told = match reading {
        Ok(system) if system.power == PowerState::Unknown => {
            Err(("PowerUnknown", "the BMC does not report the power state of the host".to_owned()))
        }
        Ok(system) => match identity::check(new, seen, system) {
            Ok(()) => {
                report::reachable(new, seen, Ok(()));
                return Ok(system);
            }
            Err(Unidentified::Settle(decision)) => return Err(decision),
            Err(Unidentified::Differs(message)) => {
                report::reachable(new, seen, Err(("SystemDiffers", &message)));
                return Err(Decision::Rest(lasts.max(SILENT)));
            }
        },
        Err(trouble) => Err(describe(trouble, seen.machine)),
    };
    let told = told.as_ref().map_err(|(reason, message): &(&str, String)| (*reason, &**message));
    report::reachable(new, seen, told.map(|(): &()| ()));
    Err(Decision::Rest(lasts - age))
}

fn describe(trouble: &ReadError, machine: &Machine) -> (&'static str, String) {
    match trouble {
        ReadError::Unusable(Missing { reason, message }) => (reason, message.clone()),
        ReadError::CertificateDiffers(seen) => (
            "CertificateDiffers",
            format!(
                "the BMC presented the certificate {seen}, which is not the pinned one, so no \
                 login was attempted; check the BMC, and if its certificate was replaced, \
                 annotate this Machine with {}={seen}{}",
                annotation::ACCEPT_CERTIFICATE,
                accepted::unread(machine, annotation::ACCEPT_CERTIFICATE, certificate::is_pairs)
            ),
        ),
        ReadError::Silent(Unreachable::Unauthorized) => (lockout::REASON, rejected(machine)),
        ReadError::Silent(Unreachable::SessionsFull(text)) => ("SessionsFull", text.clone()),
        ReadError::Silent(Unreachable::Misbehaving(text)) => ("Misbehaving", text.clone()),
        ReadError::Silent(Unreachable::NoAnswer(text)) => ("NoAnswer", text.clone()),
    }
}

/// Which credentials are to be corrected.
fn rejected(machine: &Machine) -> String {
    let redfish = machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.as_ref());
    let secret = redfish.map_or_else(String::new, |redfish| {
        let of = &redfish.password_ref;
        format!(" {}/{}", of.namespace, of.name)
    });
    format!(
        "the BMC rejected the credentials: correct spec.pxe.redfish.username, or the password in Secret{secret}"
    )
}
