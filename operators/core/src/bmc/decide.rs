use super::{
    Answers, Change, Decision, Destination, Missing, Observation,
    known::{accepted, to_note},
    lockout::{self, REFUSED, refused},
    reading::{RESYNC, SILENT},
    servers::{create, own, update},
};
use crate::{
    conditions::{self, Fact},
    identity::{has_uuid, is_same_uri},
    ownership::is_made_by,
    redfish::{ManagerReading, SystemReading, Unreachable},
    unanswered::{can_be_made_again, has_answered},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{Bmc, BmcState, BmcStatus, Operation, PowerState, Server, SystemUuid, condition};
use std::sync::Arc;

/// Value of [`metal_api::annotation::MANAGED_BY`] on what is made from an Endpoint.
pub(super) const MAKER: &str = "metal-operator";
/// How soon to retry a BMC whose sessions are all taken.
const SESSIONS_FULL: SignedDuration = SignedDuration::from_mins(2);
/// How soon to retry a BMC that sent more than it may, also after a restart.
const MISBEHAVING: SignedDuration = SignedDuration::from_mins(10);
/// The time over which the first readings of BMCs are spread after a start, if all their servers
/// are known.
const SPREAD: SignedDuration = SignedDuration::from_secs(10);
/// How much later than a BMC its Endpoint and its BMCSecret may become visible.
const TOGETHER: SignedDuration = SignedDuration::from_secs(3);
/// How long the Endpoint of a BMC that never answered may be missing: it may be replaced, or be
/// restored after the BMC.
const FORSAKEN: SignedDuration = SignedDuration::from_hours(1);

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
    let then = plan(&mut new, seen);
    if then != Decision::Look(()) && new != old {
        return Decision::Record(Box::new(new));
    }
    // This does not depend on whether the BMC answers, and neither does the garbage collector.
    let rests = matches!(then, Decision::Rest(_));
    rests.then(|| own(seen)).flatten().unwrap_or(then)
}

fn plan(new: &mut BmcStatus, seen: &Observation<'_>) -> Decision {
    new.observed_generation = seen.bmc.metadata.generation;
    if let Some(failure) = seen.failure {
        set(new, seen, condition::RECONCILED, Err((failure.reason, &failure.text)));
    } else if new.conditions.iter().any(|c| c.type_ == condition::RECONCILED) {
        set(new, seen, condition::RECONCILED, Ok("Succeeded"));
    }
    let destination = match &seen.destination {
        Ok(destination) => destination,
        Err(Missing { reason, message }) => {
            let comes = matches!(*reason, "SecretMissing" | "EndpointMissing");
            if let Some(wait) = may_still_come(seen).filter(|_| comes) {
                return Decision::Rest(wait);
            }
            set(new, seen, condition::READY, Err((reason, message)));
            if *reason != "EndpointMissing" {
                endpoint_is_there(new, seen);
                return Decision::Rest(RESYNC);
            }
            return forsaken(new, seen, message).unwrap_or(Decision::Rest(RESYNC));
        }
    };
    endpoint_is_there(new, seen);
    let Some(reading) = seen.reading else {
        return first_look(new, seen).map_or(Decision::Look(()), Decision::Rest);
    };
    let valid = match &reading.result {
        Ok(_) => reading.counts_for(),
        Err(Unreachable::NoAnswer(_)) => patience(seen),
        Err(Unreachable::Unauthorized) => REFUSED,
        Err(Unreachable::SessionsFull(_)) => SESSIONS_FULL,
        Err(Unreachable::Misbehaving(_)) => MISBEHAVING,
    };
    let age = seen.now.duration_since(reading.at);
    let left = valid - age;
    // A reading from the future was taken before the clock was set back.
    if !left.is_positive() || age.is_negative() {
        return Decision::Look(());
    }
    match &reading.result {
        Ok(said) => {
            set(new, seen, condition::READY, Ok("Connected"));
            new.ip = Some(destination.host.to_string());
            new.mac_address.clone_from(&seen.mac_address);
            new.certificate_fingerprint.clone_from(&said.certificate);
            // Chassis managers, switches and power shelves may have none.
            if !said.manager.uri.is_empty() {
                take_manager(new, &said.manager);
            }
            new.systems = i32::try_from(said.systems.len()).ok();
            let next = systems(new, seen, said);
            let next = settle(seen, destination).or(next);
            next.unwrap_or(Decision::Rest(left))
        }
        Err(Unreachable::NoAnswer(why)) => {
            set(new, seen, condition::READY, Err(("ConnectionFailed", why)));
            Decision::Rest(left)
        }
        Err(Unreachable::Unauthorized) => {
            answered(new, seen);
            let why = lockout::message(seen.bmc);
            set(new, seen, condition::READY, Err((lockout::REASON, &why)));
            Decision::Rest(left)
        }
        Err(Unreachable::SessionsFull(why)) => {
            answered(new, seen);
            set(new, seen, condition::READY, Err(("SessionLimitExceeded", why)));
            Decision::Rest(left)
        }
        Err(Unreachable::Misbehaving(why)) => {
            answered(new, seen);
            set(new, seen, condition::READY, Err((MISBEHAVES, why)));
            Decision::Rest(left)
        }
    }
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

/// A fraction of `time` that is always the same for a name.
fn share(name: &str, time: SignedDuration) -> SignedDuration {
    let hash = name.bytes().fold(5381_u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(byte));
    let part = i32::try_from(hash % 1000).unwrap_or_default();
    time * part / 1000
}

/// Stores what is known of a BMC that has answered where it outlives the object, and removes the
/// annotation by which a person vouched for its address.
fn settle(seen: &Observation<'_>, at: &Destination) -> Option<Decision> {
    if let Some(note) = to_note(seen.bmc, seen.secret, at) {
        return Some(Decision::Change(Change::Note(note)));
    }
    let is_at = seen.bmc.status.as_ref()?.ip.as_deref()?.parse().ok();
    (is_at.is_some() && accepted(seen.bmc) == is_at).then_some(Decision::Change(Change::Settle))
}

/// What to do with a BMC that nobody needs, because it was recorded without proof and its Endpoint
/// is gone.
fn forsaken(new: &mut BmcStatus, seen: &Observation<'_>, message: &str) -> Option<Decision> {
    if !is_made_by(seen.bmc, MAKER) || has_answered(seen.bmc) || !seen.servers.is_empty() {
        return None;
    }
    set(new, seen, condition::ENDPOINT_FOUND, Err(("EndpointMissing", message)));
    let since = new.conditions.iter().find(|c| c.type_ == condition::ENDPOINT_FOUND)?;
    let wait = FORSAKEN - seen.now.duration_since(since.last_transition_time.0);
    if wait.is_positive() {
        return Some(Decision::Rest(wait.min(FORSAKEN)));
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
    if let Some(at) = manager.last_reset {
        // The API server stores whole seconds, and what it returns must equal what was recorded.
        new.last_reset_time = Timestamp::from_second(at.as_second()).ok().map(Time);
    }
}

/// The next thing to do about the systems, if anything. Records those that cannot become a Server.
fn systems(new: &mut BmcStatus, seen: &Observation<'_>, said: &Answers) -> Option<Decision> {
    let (mut made, mut changed, mut trouble) = (Vec::new(), None, said.remarks.clone());
    let hosts = hosts(seen, said, &mut trouble);
    for (index, system) in hosts.iter().enumerate() {
        let (before, rest) = hosts.split_at(index);
        // A collection may list a system twice.
        if before.iter().any(|other| is_same_uri(&other.uri, &system.uri)) {
            continue;
        }
        let Some(uuid) = system.uuid else {
            trouble.push(format!(
                "{} has no UUID, or one that many boards are shipped with: set it in the BIOS of \
                 the machine",
                system.uri
            ));
            continue;
        };
        let holders: Vec<_> = seen.same_uuid.iter().filter(|s| has_uuid(s, uuid)).collect();
        let ours = holders.iter().find(|server| refers_to(server, seen.bmc)).copied();
        let shares = |other: &&SystemReading| other.uuid.is_some_and(|other| other.is_same(uuid));
        if before.iter().any(|other| shares(&other)) {
            continue;
        }
        let sharing: Vec<_> = rest.iter().filter(shares).map(|other| other.uri.as_str()).collect();
        if sharing.iter().any(|uri| !is_same_uri(uri, &system.uri)) {
            trouble.push(one_uuid(uuid, &sharing, &holders));
            continue;
        }
        match (ours, holders.as_slice()) {
            (None, []) => match newcomer(seen, said, system, uuid) {
                Newcomer::Welcome => made.push(create(seen, system, uuid, &made)),
                Newcomer::Waits => {}
                Newcomer::Unclear(why) => trouble.push(why),
            },
            (Some(server), [_]) => changed = changed.or_else(|| update(seen, server, system)),
            (_, all) => trouble.push(foreign(uuid, system, all)),
        }
    }
    if said.systems.is_empty() {
        trouble.push("the BMC has no systems: none becomes a Server".to_owned());
        let message = bounded(&trouble);
        set(new, seen, condition::SYSTEMS_KNOWN, Err(("NoSystems", &message)));
    } else if !trouble.is_empty() {
        let message = bounded(&trouble);
        set(new, seen, condition::SYSTEMS_KNOWN, Err(("SystemsLeftOut", &message)));
    } else if new.conditions.iter().any(|c| c.type_ == condition::SYSTEMS_KNOWN) {
        set(new, seen, condition::SYSTEMS_KNOWN, Ok("AllKnown"));
    }
    if made.is_empty() { changed } else { Some(Decision::Change(Change::Create(made))) }
}

/// The systems that can be reset, or have a server already. All others are baseboards, or run on a
/// host.
fn hosts(seen: &Observation<'_>, said: &Answers, trouble: &mut Vec<String>) -> Vec<SystemReading> {
    let (mut hosts, servers) = (said.systems.clone(), seen.servers);
    hosts.retain(|system| {
        let is_known = servers.iter().any(|server| is_at(server, &system.uri));
        if system.lacks_reset && !is_known {
            trouble.push(format!("{} offers no reset: it is no host", system.uri));
            return false;
        }
        true
    });
    hosts
}

/// What a system is whose UUID no server has.
enum Newcomer {
    /// A new one.
    Welcome,
    /// That of a server whose previous system is now that of another server.
    Waits,
    /// It may belong to a machine that already has a server; a second server would let that machine
    /// be claimed twice.
    Unclear(String),
}

fn newcomer(
    seen: &Observation<'_>,
    said: &Answers,
    system: &SystemReading,
    uuid: SystemUuid,
) -> Newcomer {
    let was_there =
        |server: &&Arc<Server>| refers_to(server, seen.bmc) && is_at(server, &system.uri);
    if let Some(server) = seen.servers.iter().find(was_there) {
        let has = |other: &SystemReading| other.uuid.is_some_and(|it| has_uuid(server, it));
        if said.systems.iter().any(has) {
            return Newcomer::Waits;
        }
        return Newcomer::Unclear(changed(server, system, uuid));
    }
    if seen.unreadable.is_empty() {
        return Newcomer::Welcome;
    }
    Newcomer::Unclear(format!(
        "{} may be that of server {}, which cannot be read: correct it",
        system.uri,
        seen.unreadable.join(", "),
    ))
}

/// A system whose server has another UUID.
fn changed(server: &Arc<Server>, system: &SystemReading, uuid: SystemUuid) -> String {
    let (name, uri) = (name(server), &system.uri);
    let was = server.spec.effective_uuid();
    let was = was.map_or_else(|| "none".to_owned(), |was| format!("UUID {was}"));
    format!(
        "{uri} says UUID {uuid}, and its server {name} has {was}: nothing is done to it; if it is \
         the same machine, set spec.systemUUID of server {name} to {uuid}; if another one is in its \
         place, delete the claim of server {name} and then the server",
    )
}

pub(super) fn is_at(server: &Server, uri: &str) -> bool {
    server.spec.system_uri.as_deref().is_some_and(|own| is_same_uri(own, uri))
}

/// Several systems of one BMC cannot be told apart by their UUID, neither here nor when they boot.
/// A server that is there stays as it is, and there will be no other.
fn one_uuid(uuid: SystemUuid, systems: &[&str], holders: &[&Arc<Server>]) -> String {
    let of = |server: &&Arc<Server>| {
        let uri = server.spec.system_uri.as_deref().unwrap_or("one of them");
        format!("server {} stays that of {uri}", name(server))
    };
    let kept: Vec<_> = holders.iter().map(of).collect();
    let kept = if kept.is_empty() { "none becomes a Server".to_owned() } else { kept.join(", ") };
    format!(
        "{} of this BMC all say UUID {uuid}: give each a UUID of its own in the BIOS; until then {kept}",
        systems.join(" and "),
    )
}

/// A system whose UUID other servers have.
fn foreign(uuid: SystemUuid, system: &SystemReading, holders: &[&Arc<Server>]) -> String {
    let of = |server: &&Arc<Server>| {
        let bmc = server.spec.bmc_ref.as_ref().map_or("no BMC object", |bmc| bmc.name.as_str());
        format!("server {} of {bmc}", name(server))
    };
    let holders: Vec<_> = holders.iter().map(of).collect();
    format!(
        "UUID {uuid} of {} is also that of {}: if these are several machines, give each a UUID of \
         its own in the BIOS; if it is one, correct spec.bmcRef of its server",
        system.uri,
        holders.join(", "),
    )
}

/// All of them in one text, within the length limit of a condition.
fn bounded(trouble: &[String]) -> String {
    let mut message = trouble.join("; ");
    message.truncate(message.floor_char_boundary(1024));
    message
}

fn set(
    new: &mut BmcStatus,
    seen: &Observation<'_>,
    type_: &'static str,
    fact: Result<&str, (&str, &str)>,
) {
    let (holds, reason, message) = match fact {
        Ok(reason) => (true, reason, ""),
        Err((reason, message)) => (false, reason, message),
    };
    let fact = Fact { type_, holds, reason, message };
    conditions::set(&mut new.conditions, fact, seen.bmc.metadata.generation, seen.now);
    if type_ == condition::READY {
        new.refused_credentials =
            (reason == lockout::REASON).then(|| refused(seen.secret)).flatten();
    }
}

pub(super) fn refers_to(server: &Server, bmc: &Bmc) -> bool {
    let bmc = name_of_bmc(bmc);
    server.spec.bmc_ref.as_ref().is_some_and(|reference| reference.name == bmc)
}

pub(super) fn name(server: &Server) -> &str {
    server.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn name_of_bmc(bmc: &Bmc) -> String {
    bmc.metadata.name.clone().unwrap_or_default()
}
