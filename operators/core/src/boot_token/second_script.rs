//! A machine asks for its second script, and says which one it is: another boot begins.
//!
//! An installation that is heard of ends only by the machine that it is on, which has restarted. Any
//! other machine has to wait until it has failed, or has been silent for [`QUIET`].

use super::{
    Refusal,
    binding::{self, bounded},
    expiry, is_open, is_unclaimed, status, tpm,
};
use crate::serial_number::names_one;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootStep, BootToken, BootTokenPhase, BootTokenStatus, Host, HostHardware, MacAddr, SystemUuid,
};
use std::{collections::BTreeSet, net::IpAddr};

/// An installation without a report for this long is taken to have ended. Installers report every few minutes.
pub const QUIET: SignedDuration = SignedDuration::from_mins(15);

/// A machine that asks for its second script.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The number of the boot that its first script has proposed.
    pub proposal: i64,
    /// The hardware that it reports.
    pub said: &'a HostHardware,
    /// The address from which it asks.
    pub from: Option<IpAddr>,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// It gets the script of this boot, which is recorded.
    Answer {
        /// The number of the boot, from 1.
        attempt: i64,
    },
    /// First this is recorded, and then it gets the script.
    Record(Box<BootTokenStatus>),
}

/// Decides about a machine that asks for its second script. `host` is the Host of the token's host
/// name.
///
/// # Errors
///
/// If it gets none.
pub fn claim(
    token: &BootToken,
    host: Option<&Host>,
    claimant: &Claimant<'_>,
    now: Timestamp,
) -> Result<Claim, Refusal> {
    let phase = is_open(token, now)?;
    binding::check(token.spec.binding.as_ref(), claimant.said)?;
    is_unclaimed(token, host)?;
    let (old, said) = (status(token), bounded(claimant.said.clone()));
    let attempt = old.attempts.unwrap_or_default();
    let is_ours = is_same(old.machine.as_ref(), &said);
    if phase == BootTokenPhase::Installed {
        may_replace(token, &old, is_ours, now)?;
    }
    if phase != BootTokenPhase::Installed && attempt > 0 && attempt == claimant.proposal && is_ours
    {
        // The response may have been lost.
        return Ok(Claim::Answer { attempt });
    }
    if attempt > 0 && !is_ours && is_heard_of(&old, now) {
        return Err(Refusal::InUse(describe(old.machine.as_ref())));
    }
    if claimant.proposal <= attempt {
        return Err(Refusal::Superseded);
    }
    if expiry(token).is_none_or(|expiry| expiry <= now) {
        return Err(Refusal::Expired);
    }
    let new = BootTokenStatus {
        phase: Some(BootTokenPhase::Fetched),
        attempts: Some(claimant.proposal),
        fetched_at: Some(Time(now)),
        fetched_from: claimant.from.map(|address| address.to_canonical().to_string()),
        progress: None,
        machine: Some(said).filter(|said| *said != HostHardware::default()),
        ..old
    };
    Ok(Claim::Record(Box::new(new)))
}

/// A machine that is installed is left alone. But any machine can say that it is one: of a token that
/// only one TPM can register with, another machine may begin once the first has had its time to do so.
fn may_replace(
    token: &BootToken,
    old: &BootTokenStatus,
    is_ours: bool,
    now: Timestamp,
) -> Result<(), Refusal> {
    let may = tpm::bound(token).is_some() && !is_ours && is_silent(old, now);
    if may { Ok(()) } else { Err(Refusal::Installed) }
}

/// Whether an installation is in progress, as far as is known.
fn is_heard_of(status: &BootTokenStatus, now: Timestamp) -> bool {
    let has_failed = status.progress.as_ref().is_some_and(|it| it.step == BootStep::Failed);
    !has_failed && !is_silent(status, now)
}

/// Whether there was no report lately. A time in the future was written by a clock that was ahead.
fn is_silent(status: &BootTokenStatus, now: Timestamp) -> bool {
    let heard = status.fetched_at.iter().chain(status.progress.as_ref().map(|it| &it.at));
    heard.map(|at| now.duration_since(at.0).abs()).all(|since| since >= QUIET)
}

/// Whether it is the machine that was recorded: it shares an interface with it, or, where one of them
/// names none, serial number or UUID; and neither of these is another one.
fn is_same(recorded: Option<&HostHardware>, said: &HostHardware) -> bool {
    let Some(recorded) = recorded else { return *said == HostHardware::default() };
    let serial = |hardware: &HostHardware| hardware.serial.clone().filter(|it| names_one(it));
    let serials = both(serial(recorded), serial(said));
    let is_serial = serials.map(|(one, other)| one.eq_ignore_ascii_case(&other));
    let uuid = |hardware: &HostHardware| hardware.system_uuid.as_deref()?.parse().ok();
    let uuids = both::<SystemUuid>(uuid(recorded), uuid(said));
    let is_uuid = uuids.map(|(one, other)| one.is_same(other));
    let macs = both(macs(recorded), macs(said));
    let is_interface = macs.map(|(one, other)| !one.is_disjoint(&other));
    let by_system = is_serial != Some(false) && is_uuid != Some(false);
    by_system && is_interface.unwrap_or(is_serial.is_some() || is_uuid.is_some())
}

fn both<T>(one: Option<T>, other: Option<T>) -> Option<(T, T)> {
    one.zip(other)
}

fn macs(hardware: &HostHardware) -> Option<BTreeSet<MacAddr>> {
    let macs = hardware.mac_addresses.iter().filter_map(|mac| mac.parse().ok());
    Some(macs.collect::<BTreeSet<_>>()).filter(|macs| !macs.is_empty())
}

fn describe(machine: Option<&HostHardware>) -> String {
    let Some(machine) = machine else { return "one that says nothing about itself".to_owned() };
    let serial = machine.serial.as_ref().map(|it| format!("serial number {it:?}"));
    let uuid = machine.system_uuid.as_ref().map(|it| format!("UUID {it}"));
    let mac = machine.mac_addresses.first().map(|it| format!("MAC address {it}"));
    [serial, uuid, mac].into_iter().flatten().collect::<Vec<_>>().join(", ")
}
