//! The first look at a server after a start.

use super::{ClaimSeen, Decision, Observation, reserved::is_parked};
use crate::spread::{SPREAD, share};
use jiff::SignedDuration;
use kube::ResourceExt;
use metal_api::{Operation, Power, PowerState, ServerState, condition};

/// The pass over a BMC also reads its systems: their servers take that reading if they wait for it.
const AFTER_ITS_BMC: SignedDuration = SignedDuration::from_secs(1);

/// For how long the first look after a start may wait: servers with which something is to be done
/// come first, and a fleet at rest is not read in step.
pub(super) fn first_look(seen: &Observation<'_>) -> Option<Decision> {
    if seen.system.is_some() || !is_at_rest(seen) {
        return None;
    }
    let bmc = seen.server.spec.bmc_ref.as_ref();
    let share = match bmc {
        Some(bmc) => share(&bmc.name, SPREAD) + AFTER_ITS_BMC,
        None => share(&seen.server.name_any(), SPREAD),
    };
    let passed = seen.now.duration_since(seen.started);
    let wait = share - passed;
    (wait.is_positive() && !passed.is_negative()).then_some(Decision::Rest(wait))
}

/// Whether, by all that is known without its BMC, nothing is to be done with a server.
fn is_at_rest(seen: &Observation<'_>) -> bool {
    let (meta, Some(status)) = (&seen.server.metadata, &seen.server.status) else { return false };
    let is_settled = matches!(status.state, Some(ServerState::Available | ServerState::Reserved))
        && status.pending.is_none()
        && status.observed_generation == meta.generation
        && status.conditions.iter().any(|it| it.type_ == condition::READY && it.status == "True");
    let is_left_alone = meta.deletion_timestamp.is_none()
        && matches!(Operation::requested(meta), Ok(None))
        && !is_parked(seen.server)
        && seen.missed_by.is_none();
    let is_on = status.power_state == Some(PowerState::On);
    let is_as_claimed = match seen.claim {
        ClaimSeen::Unclaimed => !is_on && status.state == Some(ServerState::Available),
        ClaimSeen::Holds(claim) => is_on == (claim.spec.power == Power::On),
        ClaimSeen::NotCached | ClaimSeen::Gone => false,
    };
    is_settled && is_left_alone && is_as_claimed
}
