//! Chooses among the servers.

use crate::server::is_parked;
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};
use metal_api::{Operation, PowerState, Server, ServerClaim, ServerState, condition};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::Arc};

/// Why a server does not fit a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
pub enum Mismatch {
    /// `spec.serverSelector` of the claim does not match.
    #[strum(serialize = "do not match the serverSelector")]
    Labels,
    /// Another claim holds it.
    #[strum(serialize = "are bound to another claim")]
    Claimed,
    /// It is not `Available`.
    #[strum(serialize = "are not Available")]
    State,
    /// `spec.unclaimable`.
    #[strum(serialize = "are unclaimable")]
    Unclaimable,
    /// Nobody has admitted it.
    #[strum(serialize = "have not been admitted by an administrator")]
    Held,
    /// A taint that the claim does not tolerate.
    #[strum(serialize = "have a taint that the claim does not tolerate")]
    Tainted,
    /// It is not off, or its power state is not known.
    #[strum(serialize = "are not off")]
    Power,
    /// It is being deleted.
    #[strum(serialize = "are being deleted")]
    Deleted,
    /// An annotation tells this operator to leave it alone.
    #[strum(serialize = "are ignored (annotation)")]
    Ignored,
    /// Somebody works on it, which its state may not show yet.
    #[strum(serialize = "are parked (annotation)")]
    Parked,
    /// A maintenance has it.
    #[strum(serialize = "are in maintenance")]
    Maintained,
    /// Its BMC is silent, or something else prevents it from being managed.
    #[strum(serialize = "are not Ready")]
    NotReady,
}

/// The server that this claim gets, or the number of servers that do not fit for each reason.
///
/// Claims that are decided at the same time prefer different servers: each has its own order, by a
/// digest of both UIDs.
///
/// # Errors
///
/// If no server fits.
pub fn pick(
    claim: &ServerClaim,
    candidates: &[Arc<Server>],
) -> Result<Arc<Server>, BTreeMap<Mismatch, usize>> {
    let (selection, mut unfit) = (Selection::of(claim), BTreeMap::new());
    let mut best: Option<(Vec<u8>, &Arc<Server>)> = None;
    for server in candidates {
        if let Err(why) = selection.fits(claim, server) {
            *unfit.entry(why).or_default() += 1;
            continue;
        }
        let rank = rank(claim, server);
        if best.as_ref().is_none_or(|(least, _)| rank < *least) {
            best = Some((rank, server));
        }
    }
    best.map(|(_, server)| Arc::clone(server)).ok_or(unfit)
}

/// Whether a claim may take a server.
///
/// # Errors
///
/// The first reason against it.
pub fn fits(claim: &ServerClaim, server: &Server) -> Result<(), Mismatch> {
    Selection::of(claim).fits(claim, server)
}

/// Why the selector of a claim selects nothing, whatever the labels of servers.
pub(super) fn unusable_selector(claim: &ServerClaim) -> Option<String> {
    let error = Selector::try_from(claim.spec.server_selector.clone()?).err()?;
    Some(format!(
        "spec.serverSelector selects nothing: {error}: create this claim again, with the operators \
         In or NotIn, which need values, Exists or DoesNotExist"
    ))
}

/// Selects servers by the labels of a claim; none, if it uses an operator of another version.
struct Selection(Option<Selector>);

impl Selection {
    fn of(claim: &ServerClaim) -> Self {
        match claim.spec.server_selector.clone() {
            Some(selector) => Self(selector.try_into().ok()),
            None => Self(Some(Selector::default())),
        }
    }

    fn fits(&self, claim: &ServerClaim, server: &Server) -> Result<(), Mismatch> {
        if !self.0.as_ref().is_some_and(|selector| selector.matches(server.labels())) {
            return Err(Mismatch::Labels);
        }
        free(server)?;
        // Both effects keep a claim away; `Evict` demands more.
        let tolerated = |taint| claim.spec.tolerations.iter().any(|it| it.tolerates(taint));
        if server.spec.taints.iter().all(tolerated) { Ok(()) } else { Err(Mismatch::Tainted) }
    }
}

/// Whether any claim may take a server: the part of [`fits`] that does not depend on the claim.
///
/// # Errors
///
/// The first reason against it.
pub fn free(server: &Server) -> Result<(), Mismatch> {
    let status = server.status.as_ref();
    if server.metadata.deletion_timestamp.is_some() {
        return Err(Mismatch::Deleted);
    }
    if server.spec.server_claim_ref.is_some() {
        return Err(Mismatch::Claimed);
    }
    if status.and_then(|status| status.state.as_ref()) != Some(&ServerState::Available) {
        return Err(Mismatch::State);
    }
    if server.spec.unclaimable == Some(true) {
        return Err(Mismatch::Unclaimable);
    }
    if server.spec.is_held() {
        return Err(Mismatch::Held);
    }
    if status.and_then(|status| status.power_state.as_ref()) != Some(&PowerState::Off) {
        return Err(Mismatch::Power);
    }
    is_worked_on(server)
}

/// Whether the server would be booted: a claim that takes a server cannot change to another one.
fn is_worked_on(server: &Server) -> Result<(), Mismatch> {
    let operation = Operation::requested(&server.metadata).ok().flatten();
    if operation.is_some_and(Operation::ignores_self) {
        return Err(Mismatch::Ignored);
    }
    if is_parked(server) {
        return Err(Mismatch::Parked);
    }
    if server.spec.server_maintenance_ref.is_some() {
        return Err(Mismatch::Maintained);
    }
    let mut conditions = server.status.iter().flat_map(|status| &status.conditions);
    // Other versions do not have these conditions.
    let needed = [condition::READY, condition::BMC_REACHABLE];
    if conditions.any(|c| needed.contains(&c.type_.as_str()) && c.status == "False") {
        return Err(Mismatch::NotReady);
    }
    Ok(())
}

fn rank(claim: &ServerClaim, server: &Server) -> Vec<u8> {
    let mut digest = Sha256::new();
    digest.update(claim.metadata.uid.as_deref().unwrap_or_default());
    digest.update(server.metadata.name.as_deref().unwrap_or_default());
    digest.finalize().to_vec()
}
