//! What one pass does about one BMC: read it, record what it says, or write what follows from that.

use super::{
    Change, Decision, Destination, Missing, Observation, Verification,
    accepted_certificate::is_accepted,
    credential_guard::{Login, accepted},
    lockout::{self, REFUSED},
    reading::{Answers, BmcReading, RESYNC, SILENT},
    servers::{MAKER, name_of_bmc, own},
    status::{set, set_fact},
    systems::systems,
};
use crate::{
    conditions::{Fact, is_stuck},
    foreign_cleanup,
    ownership::is_made_by,
    redfish::{ManagerReading, Scheme, Unreachable, is_another_reset},
    spread::{SPREAD, share},
    unanswered::{can_be_made_again, has_answered},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BmcState, BmcStatus, MacAddr, Operation, PowerState, annotation, condition};

/// How soon to retry a BMC whose sessions are all taken.
const SESSIONS_FULL: SignedDuration = SignedDuration::from_mins(2);
/// How soon to retry a BMC that sent more than it may, also after a restart.
const MISBEHAVING: SignedDuration = SignedDuration::from_mins(10);
/// How much later than a BMC its Endpoint and its BMCSecret may become visible.
const TOGETHER: SignedDuration = SignedDuration::from_secs(3);
/// How long the Endpoint of a BMC that never answered may be missing: it may be replaced, or be
/// restored after the BMC.
const ORPHANED: SignedDuration = SignedDuration::from_hours(1);

/// Reason of a BMC that sent more than it may. After a restart it is the only record of that.
const MISBEHAVES: &str = "Misbehaving";

/// Decides what one pass does about one BMC.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let operation = Operation::requested(&seen.bmc.metadata).ok().flatten();
    if operation.is_some_and(Operation::ignores_self) {
        return Decision::Rest(RESYNC);
    }
    let old = seen.bmc.status.clone().unwrap_or_default();
    let mut new = old.clone();
    foreign_cleanup::drop_conditions_of_bmc(&mut new.conditions);
    let then = plan(&mut new, seen);
    if then == Decision::Look(()) {
        let told = with_failure(&old, seen);
        return told.map_or(then, |told| Decision::Record(Box::new(told)));
    }
    if new != old {
        return Decision::Record(Box::new(new));
    }
    // This does not depend on whether the BMC answers, and neither does the garbage collector.
    let rests = matches!(then, Decision::Rest(_));
    rests.then(|| own(seen)).flatten().unwrap_or(then)
}

/// The recorded status with the failure that keeps occurring, if it does not say so yet: the BMC may
/// never be read.
fn with_failure(old: &BmcStatus, seen: &Observation<'_>) -> Option<BmcStatus> {
    let mut told = old.clone();
    reconciled(&mut told, seen);
    is_stuck(seen.failure, &old.conditions, &told.conditions).then_some(told)
}

/// Records how the last pass went. A BMC whose passes never failed does not have the condition.
fn reconciled(new: &mut BmcStatus, seen: &Observation<'_>) {
    if let Some(failure) = seen.failure {
        set(new, seen, condition::RECONCILED, Err((failure.reason, &failure.text)));
    } else if let Some(why) =
        seen.destination.as_ref().ok().and_then(|at| login(seen, at).unstored())
    {
        set(new, seen, condition::RECONCILED, Err(("CertificateNotStored", &why)));
    } else if new.conditions.iter().any(|c| c.type_ == condition::RECONCILED) {
        set(new, seen, condition::RECONCILED, Ok("Succeeded"));
    }
}

fn plan(new: &mut BmcStatus, seen: &Observation<'_>) -> Decision {
    new.observed_generation = seen.bmc.metadata.generation;
    reconciled(new, seen);
    let destination = match &seen.destination {
        Ok(destination) => destination,
        Err(missing) => return without_destination(new, seen, missing),
    };
    endpoint_is_there(new, seen);
    let Some(reading) = seen.reading else {
        return first_look(new, seen).map_or(Decision::Look(()), Decision::Rest);
    };
    let Some(left) = counts_for(seen, reading) else { return Decision::Look(()) };
    let then = match &reading.result {
        Ok(said) => connected(new, seen, destination, said),
        Err(why) => {
            not_connected(new, seen, why);
            None
        }
    };
    then.unwrap_or(Decision::Rest(left))
}

/// What to do about a BMC of which it is not known how to reach it.
fn without_destination(
    new: &mut BmcStatus,
    seen: &Observation<'_>,
    Missing { reason, message }: &Missing,
) -> Decision {
    let comes = matches!(*reason, "SecretMissing" | "EndpointMissing");
    if let Some(wait) = may_still_come(seen).filter(|_| comes) {
        return Decision::Rest(wait);
    }
    set(new, seen, condition::READY, Err((reason, message)));
    if *reason != "EndpointMissing" {
        endpoint_is_there(new, seen);
        return Decision::Rest(RESYNC);
    }
    orphaned(new, seen, message).unwrap_or(Decision::Rest(RESYNC))
}

/// For how much longer a reading counts; `None` if it does not.
fn counts_for(seen: &Observation<'_>, reading: &BmcReading) -> Option<SignedDuration> {
    let valid = match &reading.result {
        Ok(_) => reading.counts_for(),
        Err(Unreachable::NoAnswer(_)) => patience(seen),
        Err(Unreachable::Unauthorized) => REFUSED,
        Err(Unreachable::SessionsFull(_)) => SESSIONS_FULL,
        Err(Unreachable::Misbehaving(_)) => MISBEHAVING,
    };
    let age = seen.now.duration_since(reading.answered());
    let left = valid - age;
    // A reading from the future was taken before the clock was set back.
    (left.is_positive() && !age.is_negative()).then_some(left)
}

/// Records what a BMC has told, and returns what to do about it, if anything.
fn connected(
    new: &mut BmcStatus,
    seen: &Observation<'_>,
    destination: &Destination,
    said: &Answers,
) -> Option<Decision> {
    let message = unverified(seen, destination).unwrap_or_default();
    let type_ = condition::READY;
    set_fact(new, seen, Fact { type_, holds: true, reason: "Connected", message });
    new.ip = Some(destination.host.to_string());
    // In the one form that the schema takes; people write it in several.
    let mac = seen.mac_address.as_deref().and_then(|it| it.parse::<MacAddr>().ok());
    new.mac_address = mac.map(|mac| mac.to_string());
    new.certificate_fingerprint.clone_from(&said.certificate);
    // Chassis managers, switches and power shelves may have none.
    if !said.manager.uri.is_empty() {
        take_manager(new, &said.manager);
    }
    new.systems = i32::try_from(said.systems.len()).ok();
    let next = systems(new, seen, said);
    settle(seen, destination).or(next)
}

/// Records why a BMC gives no usable answer.
fn not_connected(new: &mut BmcStatus, seen: &Observation<'_>, why: &Unreachable) {
    let refused;
    let (reason, message) = match why {
        Unreachable::NoAnswer(why) => ("ConnectionFailed", why),
        Unreachable::Unauthorized => {
            refused = lockout::told(seen.bmc, seen.secret);
            (lockout::REASON, &refused)
        }
        Unreachable::SessionsFull(why) => ("SessionLimitExceeded", why),
        Unreachable::Misbehaving(why) => (MISBEHAVES, why),
    };
    if !matches!(why, Unreachable::NoAnswer(_)) {
        answered(new, seen);
    }
    set(new, seen, condition::READY, Err((reason, message)));
}

/// What a person should know who has configured authorities, and uses this BMC without them.
fn unverified(seen: &Observation<'_>, at: &Destination) -> Option<&'static str> {
    let is_open = at.scheme == Scheme::Http && seen.verification == Verification::Authorities;
    is_open.then_some(
        "it is accessed by plain http, so its password is sent unencrypted, and --bmc-ca-file has \
         no effect: if the BMC supports https, set protocolScheme https for its MAC prefix and \
         spec.protocol.scheme https here",
    )
}

/// Records that the BMC has answered, whether or not it is silent later.
fn answered(new: &mut BmcStatus, seen: &Observation<'_>) {
    if new.ip.is_none() {
        set(new, seen, condition::ANSWERED, Ok("Refused"));
    }
}

/// How long the first reading after a start may wait: if nothing depends on it, so that a fleet is
/// not read in step; if the BMC has done harm before, until the others have been read.
fn first_look(old: &BmcStatus, seen: &Observation<'_>) -> Option<SignedDuration> {
    let ready = old.conditions.iter().find(|c| c.type_ == condition::READY)?;
    if ready.observed_generation != seen.bmc.metadata.generation {
        return None;
    }
    let known = i32::try_from(seen.servers.len()).ok() >= old.systems;
    let due = match ready.reason.as_str() {
        MISBEHAVES => MISBEHAVING,
        _ if known && old.systems.is_some() => share(&name_of_bmc(seen.bmc), SPREAD),
        _ => return None,
    };
    let wait = due - seen.now.duration_since(seen.started);
    wait.is_positive().then_some(wait.min(MISBEHAVING))
}

fn login<'a, 'd>(seen: &Observation<'a>, at: &'d Destination) -> Login<'a, 'd> {
    Login { bmc: seen.bmc, secret: seen.secret, at }
}

/// Stores what is known of a BMC that has answered where it outlives the object, and removes the
/// annotation by which a person vouched for its address or certificate.
fn settle(seen: &Observation<'_>, at: &Destination) -> Option<Decision> {
    if let Some(note) = login(seen, at).to_note() {
        return Some(Decision::Change(Change::Note(note)));
    }
    let status = seen.bmc.status.as_ref()?;
    let is_at = status.ip.as_deref()?.parse().ok();
    let key = if is_at.is_some() && accepted(seen.bmc) == is_at {
        annotation::ACCEPT_ADDRESS
    } else if is_accepted(&seen.bmc.metadata, status.certificate_fingerprint.as_deref()) {
        annotation::ACCEPT_CERTIFICATE
    } else {
        return None;
    };
    Some(Decision::Change(Change::Settle(key)))
}

/// What to do with a BMC that nobody needs, because it was recorded without proof and its Endpoint
/// is gone.
fn orphaned(new: &mut BmcStatus, seen: &Observation<'_>, message: &str) -> Option<Decision> {
    if !is_made_by(seen.bmc, MAKER) || has_answered(seen.bmc) || !seen.servers.is_empty() {
        return None;
    }
    set(new, seen, condition::ENDPOINT_FOUND, Err(("EndpointMissing", message)));
    let since = new.conditions.iter().find(|c| c.type_ == condition::ENDPOINT_FOUND)?;
    let wait = ORPHANED - seen.now.duration_since(since.last_transition_time.0);
    if wait.is_positive() {
        return Some(Decision::Rest(wait.min(ORPHANED)));
    }
    let ours = seen.secret.filter(|secret| is_made_by(*secret, MAKER)).zip(seen.database);
    let credentials = ours.is_some_and(|(secret, database)| can_be_made_again(secret, database));
    Some(Decision::Change(Change::Collect { credentials }))
}

/// Records that its Endpoint is back, if it was missing.
fn endpoint_is_there(new: &mut BmcStatus, seen: &Observation<'_>) {
    if new.conditions.iter().any(|c| c.type_ == condition::ENDPOINT_FOUND) {
        set(new, seen, condition::ENDPOINT_FOUND, Ok("Found"));
    }
}

/// How soon to retry a silent BMC: less and less often if it has never answered, as it may not
/// exist.
fn patience(seen: &Observation<'_>) -> SignedDuration {
    let created = seen.bmc.metadata.creation_timestamp.as_ref().map(|created| created.0);
    let age = created.map(|created| seen.now.duration_since(created));
    match age {
        Some(age) if !has_answered(seen.bmc) => (age / 4).clamp(SILENT, RESYNC),
        Some(_) | None => SILENT,
    }
}

/// How long to wait for objects that a BMC refers to: they are created at the same time, but each
/// kind has a watch of its own.
fn may_still_come(seen: &Observation<'_>) -> Option<SignedDuration> {
    let created = seen.bmc.metadata.creation_timestamp.as_ref()?.0;
    let age = seen.now.duration_since(created);
    (!age.is_negative() && age < TOGETHER).then(|| TOGETHER - age)
}

fn take_manager(new: &mut BmcStatus, manager: &ManagerReading) {
    new.manufacturer.clone_from(&manager.manufacturer);
    new.model.clone_from(&manager.model);
    new.sku.clone_from(&manager.part_number);
    new.serial_number.clone_from(&manager.serial_number);
    new.firmware_version.clone_from(&manager.firmware_version);
    new.power_state = Some(PowerState::from(manager.power.to_string().as_str()));
    new.state = Some(manager.state.as_deref().map_or(BmcState::Enabled, BmcState::from));
    let known = new.last_reset_time.as_ref().map(|known| known.0);
    let is_news = |at: &Timestamp| known.is_none_or(|known| is_another_reset(known, *at));
    if let Some(at) = manager.last_reset.filter(is_news) {
        // The API server stores whole seconds, and what it returns must equal what was recorded.
        new.last_reset_time = Timestamp::from_second(at.as_second()).ok().map(Time);
    }
}
