//! What one pass does about one server, by what its BMC says and by the state that it is in.

use super::{
    Change, ClaimSeen, Decision, Need, Observation, available,
    claimed::claimed,
    discovery,
    first_look::first_look,
    future,
    power::{FRESH, is_changing, poll},
    repetition::repeated_too_soon,
    reserved, status, steps_without_effect,
    turn::Turn,
    twins, window,
};
use crate::{
    bmc::{REASON_OF_SERVER, REFUSED, is_accepted},
    conditions, foreign_cleanup,
    identity::{self, UuidMatch},
    redfish::{SystemReading, Unreachable},
    serial_number::names_one,
};
use jiff::SignedDuration;
use metal_api::{Operation, Server, ServerClaim, ServerState, ServerStatus, SystemUuid, finalizer};

/// How soon to retry a silent BMC.
const SILENT: SignedDuration = SignedDuration::from_secs(30);
/// How soon to retry a BMC whose sessions are all taken.
const SESSIONS_FULL: SignedDuration = SignedDuration::from_mins(2);
/// How soon to retry a BMC that sent more than it may.
const MISBEHAVING: SignedDuration = SignedDuration::from_mins(10);
/// How long a change on which nothing depends may wait to be recorded with one that matters.
const SETTLE: SignedDuration = SignedDuration::from_secs(10);
/// The same for the power state of a host during discovery: it goes on and off meanwhile, and most
/// discoveries are finished earlier.
const SETTLE_DISCOVERY: SignedDuration = SignedDuration::from_secs(30);

/// How many Machines a message names.
const TOLD: usize = 8;

/// The message for a server that could be any machine.
const NO_UUID: &str = "spec.systemUUID is empty, not a UUID, or a default one that is not unique: \
                       set the UUID of the machine; nothing is done to it until then";
/// The message for a server in a state that another version put it in.
const LEFT_ALONE: &str = "this version does not manage servers in this state";
/// The same, once it is no longer marked as parked.
const PARKING_ENDED: &str = "this version does not manage servers in this state, and the \
                             annotation metal.ironcore.dev/parked was removed: annotate with \
                             metal.ironcore.dev/operation=retry to manage this server again";
/// The same, once its maintenance is gone. The reference may also have been lost while firmware is
/// being written, so a person has to say when it is over.
const MAINTENANCE_ENDED: &str = "this version does not manage servers in this state, and this \
                                 server has no maintenance: annotate with \
                                 metal.ironcore.dev/operation=retry to manage it again";

/// Decides what one pass does about one server.
pub fn decide(seen: &Observation<'_>, settings: &super::Settings) -> Decision {
    if ignores(seen.server) {
        return Decision::Rest(settings.resync);
    }
    if !has_finalizer(seen.server) {
        return Decision::Change(Change::AddFinalizer);
    }
    if let Some(uuid) = unwritten_uuid(seen.server) {
        return Decision::Change(Change::SetSystemUuid { uuid });
    }
    let old = seen.server.status.clone().unwrap_or_default();
    let mut turn = Turn { new: old.clone(), seen, settings };
    foreign_cleanup::drop_conditions_of_server(&mut turn.new.conditions);
    future::begin_now(&mut turn);
    let then = plan(&mut turn);
    window::settle(&mut turn);
    window::recover(&mut turn);
    let mut new = turn.new;
    // An incomplete status is not worth a write, but a person is told what keeps failing.
    if matches!(then, Decision::Look(_)) {
        let told = status::with_failure(&old, seen).map(|told| Decision::Record(Box::new(told)));
        let wait = || is_changing(seen).or_else(|| first_look(seen));
        let wait = (then == Decision::Look(Need::System)).then(wait).flatten();
        return told.or(wait).unwrap_or(then);
    }
    status::keep_times(&mut new, &old);
    // A pass that is always refused would never reach the point at which messages are recorded.
    if conditions::is_stuck(seen.failure, &old.conditions, &new.conditions) {
        return Decision::Record(Box::new(new));
    }
    if status::enter(&mut new, &old, seen.now) || status::is_material(&old, &new) {
        return Decision::Record(Box::new(new));
    }
    let settle = settle(&old, &new);
    let age = seen.recorded.map(|at| seen.now.duration_since(at));
    // One of the future was recorded before the clock was set back.
    let settled = age.is_none_or(|age| age >= settle || age.is_negative());
    if let (Decision::Rest(time), true) = (&then, new != old) {
        return if settled {
            Decision::Record(Box::new(new))
        } else {
            pace(Decision::Rest((*time).min(settle)), seen, settings)
        };
    }
    pace(then, seen, settings)
}

/// How long after the last record a change on which nothing depends is recorded.
fn settle(old: &ServerStatus, new: &ServerStatus) -> SignedDuration {
    let discovers = new.state == Some(ServerState::Discovery);
    let same = status::say_the_same(&old.conditions, &new.conditions);
    if discovers && same { SETTLE_DISCOVERY } else { SETTLE }
}

/// Whether a person wants the server left alone.
pub(super) fn ignores(server: &Server) -> bool {
    let operation = Operation::requested(&server.metadata).ok().flatten();
    operation.is_some_and(Operation::ignores_self)
}

pub(super) fn has_finalizer(server: &Server) -> bool {
    server.metadata.finalizers.iter().flatten().any(|name| name == finalizer::SERVER)
}

/// Writes the consequences of the observation into the new status, and returns what to do once that
/// is recorded.
fn plan(turn: &mut Turn<'_>) -> Decision {
    status::reconciled(&mut turn.new, turn.seen);
    turn.new.twins = twins::bounded(turn.seen.twins);
    if let Err(why) = turn.seen.access {
        reserved::by_facts(turn);
        let then = reserved::abandoned(turn);
        status::unreachable(&mut turn.new, "NoBMC", why, turn.seen.now);
        return then.unwrap_or(Decision::Rest(turn.settings.resync));
    }
    if !turn.seen.twins.is_empty() {
        reserved::by_facts(turn);
        return turn.rests(twins::REASON, &twins::message(turn.seen.twins));
    }
    if !turn.seen.machines.is_empty() {
        reserved::by_facts(turn);
        // What boots now may be what the other program has it boot.
        window::close(turn);
        return turn.rests("Ambiguous", &is_machine(turn.seen.machines));
    }
    let Some(own) = turn.seen.server.spec.effective_uuid() else {
        reserved::by_facts(turn);
        return turn.rests("NoUUID", NO_UUID);
    };
    let Some(reading) = turn.seen.system else { return Decision::Look(Need::System) };
    match &reading.result {
        Ok(system) => reached(turn, own, system),
        Err(why) => {
            // The claim has the host, whatever keeps the BMC from answering.
            reserved::by_facts(turn);
            let (reason, message, rest) = silence(turn.seen.server, why);
            status::unreachable(&mut turn.new, reason, &message, turn.seen.now);
            Decision::Rest(rest)
        }
    }
}

/// Its BMC has reported what it has at the URI of the server.
fn reached(turn: &mut Turn<'_>, own: SystemUuid, system: &SystemReading) -> Decision {
    let seen = turn.seen;
    if let Some((reason, message)) = mistaken(seen.server, own, system) {
        reserved::by_facts(turn);
        status::reachable(&mut turn.new, seen.now);
        return turn.rests(reason, &message);
    }
    status::reachable(&mut turn.new, seen.now);
    status::take_system(&mut turn.new, system);
    // What is in the BMC object is not repeated in the server.
    let is_inline = seen.server.spec.bmc_ref.is_none();
    turn.new.bmc_certificate_fingerprint =
        seen.certificate.filter(|_| is_inline).map(str::to_owned);
    if let Some(note) = seen.note.filter(|_| is_inline) {
        return Decision::Change(Change::Note(note.clone()));
    }
    if is_inline && has_accepted(seen.server) {
        return Decision::Change(Change::SettleCertificate);
    }
    if let Some(uri) = unwritten_uri(seen.server, system) {
        return Decision::Change(Change::SetSystemUri { uri });
    }
    let then = state(turn, system);
    let then = steps_without_effect::hold_back(turn, system, then);
    steps_without_effect::tell_unknown_power(turn, system);
    then
}

/// Why there is no reading: reason, message, and how soon to try again.
fn silence(server: &Server, why: &Unreachable) -> (&'static str, String, SignedDuration) {
    match why {
        Unreachable::NoAnswer(why) => ("NoAnswer", why.clone(), SILENT),
        Unreachable::Unauthorized => (REASON_OF_SERVER, rejected(server), REFUSED),
        Unreachable::SessionsFull(why) => ("SessionLimitExceeded", why.clone(), SESSIONS_FULL),
        Unreachable::Misbehaving(why) => ("Misbehaving", why.clone(), MISBEHAVING),
    }
}

/// Which credentials are to be corrected.
fn rejected(server: &Server) -> String {
    let secret = match (&server.spec.bmc_ref, &server.spec.bmc) {
        (Some(bmc), _) => format!("the BMCSecret of BMC {}", bmc.name),
        (None, Some(access)) => format!("BMCSecret {}", access.bmc_secret_ref.name),
        (None, None) => "the BMCSecret".to_owned(),
    };
    format!("the BMC rejected the credentials: correct {secret}")
}

/// The hardware belongs to metalman as well.
fn is_machine(names: &[String]) -> String {
    let (told, more) = names.split_at(names.len().min(TOLD));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let told = told.join(", ");
    format!(
        "Machine {told}{more} has a network interface (dhcpLeases), the system UUID or the BMC \
         (redfish) of it: delete one of the two objects, or correct dhcpLeases or redfish; if a \
         network card was moved, remove it from status.networkInterfaces of this server (kubectl \
         edit server --subresource=status); until then the server is neither switched nor booted"
    )
}

/// Its BMC has another machine at its URI, or one that may be another: what that does says nothing
/// about this server.
fn mistaken(
    server: &Server,
    own: SystemUuid,
    system: &SystemReading,
) -> Option<(&'static str, String)> {
    let (uri, uuid) = (&system.uri, system.uuid.unwrap_or(own));
    match identity::identify(server, system) {
        UuidMatch::Same => None,
        UuidMatch::NotReported => other_serial(server, system).map(|(its, own)| {
            let message = format!(
                "{uri} reports no UUID, and the serial number {its}, but that of this server is \
                 {own}: nothing is done to the system; if it is the same machine, power it on by \
                 hand, so that it reports its UUID; if the machine was replaced, correct \
                 spec.bmcRef and spec.systemURI"
            );
            ("OtherSystem", message)
        }),
        UuidMatch::Another => Some((
            "OtherSystem",
            format!(
                "{uri} has UUID {uuid}, but spec.systemUUID is {own}: nothing is done to the \
                 system; if it is the same machine, set spec.systemUUID to {uuid}; if the machine \
                 was replaced, correct spec.bmcRef and spec.systemURI"
            ),
        )),
        UuidMatch::NotUnique => Some((
            "UUIDNotUnique",
            format!(
                "{uri} has a default UUID that many boards ship with, but spec.systemUUID is \
                 {own}: nothing is done to the system; if it is the same machine, set its UUID in \
                 the BIOS; if the machine was replaced, correct spec.bmcRef and spec.systemURI"
            ),
        )),
    }
}

/// The serial number of the system and that of the server, if they show that those are two machines.
fn other_serial<'a>(server: &'a Server, system: &'a SystemReading) -> Option<(&'a str, &'a str)> {
    let is_one = |text: &&str| names_one(text);
    let own = server.status.as_ref()?.serial_number.as_deref().map(str::trim).filter(is_one)?;
    let its = system.serial_number.as_deref().map(str::trim).filter(is_one)?;
    (!own.eq_ignore_ascii_case(its)).then_some((its, own))
}

/// The host belongs to the claim, whatever the state of the server.
fn not_referred(claim: &ServerClaim) -> String {
    let meta = &claim.metadata;
    format!(
        "claim {}/{} is bound to this server, but spec.serverClaimRef is empty: it is being \
         restored, and power is not changed until then; to release the server, delete the claim",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

fn state(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    let is_claimed = is_claimed(turn.seen);
    if reserved::is_parked(turn.seen.server) {
        // The mark outlives the status, and whoever works on the machine relies on it.
        turn.new.state = Some(ServerState::Parked);
        turn.new.pending = None;
    }
    let now = turn.new.state.clone().unwrap_or(ServerState::Initial);
    if let Some(claim) = turn.seen.missed_by
        && !matches!(now, ServerState::Parked | ServerState::Maintenance)
    {
        return turn.rests("ClaimNotReferred", &not_referred(claim));
    }
    if discovery::asks_for_retry(turn.seen)
        && let Some(first) = retry(turn, system, &now)
    {
        return first;
    }
    match now {
        ServerState::Parked | ServerState::Maintenance => {
            let message = match (has_ended(turn.seen, &now), &now) {
                (true, ServerState::Parked) => PARKING_ENDED,
                (true, _) => MAINTENANCE_ENDED,
                (false, _) => LEFT_ALONE,
            };
            turn.rests("LeftAlone", message)
        }
        ServerState::Released => reserved::released(turn, system),
        ServerState::Reserved => reserved::reserved(turn, system),
        ServerState::Available if is_claimed => claimed(turn, system),
        _ if is_claimed => {
            turn.new.state = Some(ServerState::Reserved);
            turn.new.pending = None;
            reserved::reserved(turn, system)
        }
        ServerState::Initial | ServerState::Other(_) => discovery::initial(turn, system),
        ServerState::Discovery => discovery::discovery(turn, system),
        ServerState::Available => available::available(turn, system),
        ServerState::Error => discovery::error(turn, system),
    }
}

/// What has to be done first for a person who asks for a retry.
fn retry(turn: &mut Turn<'_>, system: &SystemReading, now: &ServerState) -> Option<Decision> {
    if has_ended(turn.seen, now) {
        let is_claimed = is_claimed(turn.seen);
        let next = if is_claimed { ServerState::Reserved } else { ServerState::Initial };
        turn.new.state = Some(next);
        return Some(Decision::Rest(SignedDuration::ZERO));
    }
    if *now == ServerState::Reserved && reserved::is_unexplained(turn, system) {
        // The host is the claim's.
        turn.new.pending = None;
        return Some(Decision::Rest(SignedDuration::ZERO));
    }
    // It asks to leave the state `Error`, in which the server is not, or no longer.
    (*now != ServerState::Error).then_some(Decision::Change(Change::DropOperation))
}

/// Whether what has put the server into this state is over.
fn has_ended(seen: &Observation<'_>, now: &ServerState) -> bool {
    let is_maintained = seen.server.spec.server_maintenance_ref.is_some();
    (*now == ServerState::Maintenance && !is_maintained)
        || (*now == ServerState::Parked && !reserved::is_parked(seen.server))
}

fn is_claimed(seen: &Observation<'_>) -> bool {
    !matches!(seen.claim, ClaimSeen::Unclaimed)
}

/// The identity of a server that has it only under the older name: clients that do not know that
/// name and write whole objects would drop it.
fn unwritten_uuid(server: &Server) -> Option<SystemUuid> {
    let is_missing = server.spec.system_uuid.as_deref().is_none_or(|uuid| uuid.trim().is_empty());
    server.spec.effective_uuid().filter(|_| is_missing)
}

/// Whether the certificate that a person has accepted is pinned and recorded.
fn has_accepted(server: &Server) -> bool {
    let pinned = server.status.as_ref().and_then(|it| it.bmc_certificate_fingerprint.as_deref());
    is_accepted(&server.metadata, pinned)
}

/// The system URI of a server without a BMC object, whose controller would write it: somebody created
/// it without the URI, or new firmware has another one for the system with its UUID.
fn unwritten_uri(server: &Server, system: &SystemReading) -> Option<String> {
    let own = server.spec.known_system_uri();
    let is_other = own.is_none_or(|own| !identity::is_same_uri(own, &system.uri));
    (is_other && server.spec.bmc_ref.is_none() && !system.uri.is_empty())
        .then(|| system.uri.clone())
}

/// Turns what should be done into what can be done *now*: on fresh facts, and not too frequently.
fn pace(then: Decision, seen: &Observation<'_>, settings: &super::Settings) -> Decision {
    let age = seen.system.map(|reading| seen.now.duration_since(reading.answered()));
    match (then, age) {
        // A reading from the future was taken before the clock was set back.
        (Decision::Act(_), Some(age)) if age > FRESH || age.is_negative() => {
            Decision::Look(Need::System)
        }
        (Decision::Act(step), _) => match repeated_too_soon(&step, seen) {
            Some(wait) => pace(Decision::Rest(wait.min(poll(seen, settings))), seen, settings),
            None => Decision::Act(step),
        },
        (Decision::Rest(time), Some(age))
            if (age >= time || age.is_negative()) && seen.access.is_ok() =>
        {
            Decision::Look(Need::System)
        }
        (Decision::Rest(time), Some(age)) if seen.access.is_ok() => Decision::Rest(time - age),
        (then, _) => then,
    }
}
