use super::{
    Change, Decision, Mismatch, Observation, Withheld,
    binding::misses,
    pick::{pick, unusable_selector},
};
use crate::{
    conditions::{self, Fact},
    ownership::controller,
    server::{configuration_state, is_current, name_taken},
};
use jiff::SignedDuration;
use metal_api::{
    BootState, ClaimPhase, Operation, Power, PowerState, Server, ServerBootConfiguration,
    ServerClaim, ServerClaimStatus, ServerState, Taint, condition, finalizer,
};
use std::{collections::BTreeMap, sync::Arc};

/// Watches wake a claim when something changes; this catches what they missed.
const RESYNC: SignedDuration = SignedDuration::from_mins(10);

/// Reason of a claim that waits for a server.
const NO_SERVER_FITS: &str = "NoServerFits";

/// Whether it stands in a claim, as it is now, that no server fits, and nothing else that has to be
/// told anew: only the numbers of servers in the message may have changed.
pub fn is_told(claim: &ServerClaim) -> bool {
    let Some(status) = &claim.status else { return false };
    let is_false = |type_: &str, reason: Option<&str>| {
        let mut conditions = status.conditions.iter().filter(|c| c.type_ == type_);
        conditions.any(|c| c.status == "False" && reason.is_none_or(|reason| c.reason == reason))
    };
    status.observed_generation == claim.metadata.generation
        && is_false(condition::SCHEDULED, Some(NO_SERVER_FITS))
        && !is_false(condition::RECONCILED, None)
}

/// Decides what one pass does about one claim.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let claim = seen.claim;
    let is_ours =
        claim.metadata.finalizers.iter().flatten().any(|it| it == finalizer::SERVER_CLAIM);
    if claim.metadata.deletion_timestamp.is_some() {
        return if is_ours { Decision::Change(Change::Release) } else { Decision::Rest(RESYNC) };
    }
    let operation = Operation::requested(&claim.metadata).ok().flatten();
    if operation.is_some_and(Operation::ignores_self) {
        return Decision::Rest(RESYNC);
    }
    if !is_ours {
        return Decision::Change(Change::AddFinalizer);
    }
    let mut new = claim.status.clone().unwrap_or_default();
    let then = plan(&mut new, seen);
    // Facts are written before what is missing is acted on: a claim is never shown as Bound too
    // early, and a step that is due is never delayed by a message.
    let rests = matches!(then, Decision::Rest(_));
    let old = claim.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let is_stuck = conditions::is_stuck(seen.failure, old, &new.conditions);
    if (rests || is_stuck) && Some(&new) != claim.status.as_ref() {
        return Decision::Record(Box::new(new));
    }
    then
}

fn plan(new: &mut ServerClaimStatus, seen: &Observation<'_>) -> Decision {
    new.observed_generation = seen.claim.metadata.generation;
    if let Some(failure) = seen.failure {
        let (reason, message) = (failure.reason, failure.text.as_str());
        set(new, seen, condition::RECONCILED, Err((reason, message)));
    } else if new.conditions.iter().any(|c| c.type_ == condition::RECONCILED) {
        set(new, seen, condition::RECONCILED, Ok("Succeeded"));
    }
    match seen.holders {
        [] => unbound(new, seen),
        [server] => bound(new, seen, server),
        [_, _, ..] => {
            let names: Vec<_> = seen.holders.iter().map(|server| name(server)).collect();
            let message = format!(
                "servers {} all reference this claim in spec.serverClaimRef: clear it on all but \
                 one",
                names.join(", "),
            );
            ambiguous(new, seen, &message)
        }
    }
}

/// Nothing is known of the host while it is not known which one it is. The phase stays: it records that
/// a host may be running for this claim.
fn ambiguous(new: &mut ServerClaimStatus, seen: &Observation<'_>, message: &str) -> Decision {
    forget_host(new);
    set(new, seen, condition::SCHEDULED, Err(("Ambiguous", message)));
    Decision::Rest(RESYNC)
}

/// Removes what was last known of the host.
fn forget_host(new: &mut ServerClaimStatus) {
    new.conditions
        .retain(|c| c.type_ != condition::BOOT_CONFIGURED && c.type_ != condition::POWERED);
}

fn unbound(new: &mut ServerClaimStatus, seen: &Observation<'_>) -> Decision {
    if let Some(server) = seen.candidates.iter().find(|server| misses(seen.claim, server)) {
        return Decision::Change(Change::Bind(Arc::clone(server)));
    }
    // A host may be running for this claim on the server that cannot be parsed.
    if seen.withheld != Some(Withheld::Unreadable) {
        new.phase = None;
    }
    new.phase.get_or_insert(ClaimPhase::Unbound);
    forget_host(new);
    match pick(seen.claim, seen.candidates) {
        Ok(server) => Decision::Change(Change::Bind(server)),
        Err(unfit) => {
            let message = none_fits(seen, &unfit);
            set(new, seen, condition::SCHEDULED, Err((NO_SERVER_FITS, &message)));
            Decision::Rest(RESYNC)
        }
    }
}

/// Why the claim gets no server.
fn none_fits(seen: &Observation<'_>, unfit: &BTreeMap<Mismatch, usize>) -> String {
    if let Some(why) = unusable_selector(seen.claim) {
        return why;
    }
    let wanted = seen.claim.spec.server_ref.as_ref().map(|server| server.name.as_str());
    match (wanted, seen.withheld) {
        (Some(name), Some(Withheld::OfAnother)) => {
            format!("spec.serverRef: server {name} is bound to another claim")
        }
        (Some(name), Some(Withheld::Unreadable)) => format!(
            "spec.serverRef: server {name} cannot be parsed: correct it, as its events tell"
        ),
        (Some(name), None) if seen.candidates.is_empty() => {
            format!("spec.serverRef: server {name} not found")
        }
        (None, Some(_)) if unfit.is_empty() => "all servers are bound to other claims".to_owned(),
        (_, None) if unfit.is_empty() => "there are no servers".to_owned(),
        _ => {
            let total: usize = unfit.values().sum();
            let why: Vec<_> = unfit.iter().map(|(why, count)| format!("{count} {why}")).collect();
            format!("of {total} servers {}", why.join(", "))
        }
    }
}

fn bound(new: &mut ServerClaimStatus, seen: &Observation<'_>, server: &Arc<Server>) -> Decision {
    match &seen.claim.spec.server_ref {
        None => {
            set(new, seen, condition::SCHEDULED, Ok("Bound"));
            return Decision::Change(Change::ReferTo(name(server).to_owned()));
        }
        Some(wanted) if wanted.name != name(server) => {
            return elsewhere(new, seen, server, &wanted.name);
        }
        Some(_) => set(new, seen, condition::SCHEDULED, Ok("Bound")),
    }
    if server.spec.is_held() {
        let message = format!(
            "server {} has not been admitted: an administrator must remove its taint {}",
            name(server),
            Taint::NOT_ADMITTED
        );
        set(new, seen, condition::BOOT_CONFIGURED, Err(("NotAdmitted", &message)));
        new.phase.get_or_insert(ClaimPhase::Unbound);
        return Decision::Rest(RESYNC);
    }
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    if state != Some(&ServerState::Reserved) {
        let why = unready(server).map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("server {} is not in the state Reserved yet{why}", name(server));
        set(new, seen, condition::BOOT_CONFIGURED, Err(("WaitingForServer", &message)));
        new.phase.get_or_insert(ClaimPhase::Unbound);
        return Decision::Rest(RESYNC);
    }
    let configuration = match whole(new, seen, server) {
        Ok(configuration) => configuration,
        Err(first) => return first,
    };
    if !refers_to(server, seen.claim) {
        return Decision::Change(Change::Boot(Arc::clone(server)));
    }
    new.phase = Some(ClaimPhase::Bound);
    boot_configured(new, seen, configuration);
    powered(new, seen, server);
    Decision::Rest(RESYNC)
}

/// The boot configuration of the claim, or what comes before it is that.
fn whole<'a>(
    new: &mut ServerClaimStatus,
    seen: &Observation<'a>,
    server: &Server,
) -> Result<&'a ServerBootConfiguration, Decision> {
    // One that was restored without its owner gets it again, and goes with its claim.
    let is_whole = |it: &&ServerBootConfiguration| {
        is_current(it, seen.claim, server) && controller(&it.metadata).is_some()
    };
    if let Some(configuration) = seen.configuration.filter(is_whole) {
        return Ok(configuration);
    }
    let Some(why) = seen.configuration.and_then(|it| name_taken(it, seen.claim)) else {
        return Err(Decision::Change(Change::Configure(name(server).to_owned())));
    };
    set(new, seen, condition::BOOT_CONFIGURED, Err(("NameTaken", &why)));
    new.phase.get_or_insert(ClaimPhase::Unbound);
    Err(Decision::Rest(RESYNC))
}

/// The claim names another server than the one that it was bound to, because it was given a name at
/// the moment of its binding. A server that has not been told to boot is returned.
fn elsewhere(
    new: &mut ServerClaimStatus,
    seen: &Observation<'_>,
    server: &Arc<Server>,
    wanted: &str,
) -> Decision {
    let has_booted = new.phase == Some(ClaimPhase::Bound) || refers_to(server, seen.claim);
    if !has_booted && !server.spec.is_held() && is_available(server) {
        return Decision::Change(Change::LetGo(Arc::clone(server)));
    }
    let message = format!(
        "server {} is bound to this claim, but its spec.serverRef is {wanted}: delete this claim, \
         and create it again for the intended server",
        name(server),
    );
    ambiguous(new, seen, &message)
}

fn is_available(server: &Server) -> bool {
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    state == Some(&ServerState::Available)
}

fn boot_configured(
    new: &mut ServerClaimStatus,
    seen: &Observation<'_>,
    configuration: &ServerBootConfiguration,
) {
    let status = configuration.status.as_ref();
    let type_ = condition::BOOT_CONFIGURED;
    match configuration_state(configuration) {
        BootState::Ready => set(new, seen, type_, Ok("Ready")),
        BootState::Error => {
            let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
            let message =
                conditions.iter().filter(|c| c.status == "False" && !c.message.is_empty());
            let message: Vec<_> = message.map(|c| c.message.as_str()).collect();
            set(new, seen, type_, Err(("BootConfigurationError", &message.join("; "))));
        }
        BootState::Pending | BootState::Other(_) => {
            set(new, seen, type_, Err(("Pending", "waiting for boot-operator")));
        }
    }
}

fn powered(new: &mut ServerClaimStatus, seen: &Observation<'_>, server: &Server) {
    let power = server.status.as_ref().and_then(|status| status.power_state.as_ref());
    let wanted = &seen.claim.spec.power;
    match (wanted, power) {
        (Power::On, Some(PowerState::On)) => set(new, seen, condition::POWERED, Ok("On")),
        (Power::Off, Some(PowerState::Off)) => set(new, seen, condition::POWERED, Ok("Off")),
        (_, actual) => {
            let actual = actual.map_or("not known", PowerState::as_str);
            // A host that is on its way needs nobody.
            let is_passing = |why: &str| why.starts_with("Waiting") || why == "EjectingMedium";
            let why = unready(server).filter(|why| !is_passing(why));
            let why = why.map(|why| format!(": server {} is not ready: {why}", name(server)));
            let why = why.unwrap_or_default();
            let message = format!("desired power state is {wanted}, actual is {actual}{why}");
            set(new, seen, condition::POWERED, Err(("Waiting", &message)));
        }
    }
}

/// Why a server is not ready, in a word: its messages are for those who have its BMC.
fn unready(server: &Server) -> Option<&str> {
    let mut conditions = server.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|it| it.type_ == condition::READY && it.status == "False")?;
    Some(ready.reason.as_str())
}

fn refers_to(server: &Server, claim: &ServerClaim) -> bool {
    server.spec.boot_configuration_ref.as_ref().is_some_and(|configuration| {
        Some(&configuration.name) == claim.metadata.name.as_ref()
            && Some(&configuration.namespace) == claim.metadata.namespace.as_ref()
    })
}

fn set(
    new: &mut ServerClaimStatus,
    seen: &Observation<'_>,
    type_: &'static str,
    fact: Result<&str, (&str, &str)>,
) {
    let fact = Fact::of(type_, fact);
    conditions::set(&mut new.conditions, fact, seen.claim.metadata.generation, seen.now);
}

fn name(server: &Server) -> &str {
    server.metadata.name.as_deref().unwrap_or_default()
}
