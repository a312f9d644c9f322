//! The phase and conditions of a [`Machine`] that boots from the network.
//!
//! ```text
//!            first attestation              its Node is there and ready
//! Pending ─────────────────────► Joining ──────────────────────────────► Ready
//!    ▲ │                           ▲ │ ▲                                   │
//!    │ │                           │ │ └───────────────────────────────────┘
//!    │ │                           │ │        its Node is not ready, or gone
//!    │ ▼                           │ ▼
//!   Failed: an address that two Machines have, or none that can be used; another TPM than before, or one
//!           that nobody vouches for
//! ```
//!
//! The phase depends only on what is observed, not on the previous phase, so a lost status is
//! restored. Only the endorsement key (see [`attest`]) and the progress of a reboot or an
//! installation (see [`operations`]) are remembered in the status.

mod accepted;
pub mod attest;
pub mod csr;
pub mod installed_disk;
pub mod operations;
pub mod provisioning;
pub mod request;
mod resolution;
pub mod site;

pub use accepted::{actor, removed};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;
use metal_api::{LocalObjectReference, Machine, MachinePhase, MachineStatus, condition};
use metal_core::{
    conditions::{self, Fact},
    machine_identity::{self, Twin, lease::Lease},
    redfish::Step,
};
use operations::{Change, Clocks, Known, Need, Ownership, ReportedPhase, ownership};

/// Watches wake a Machine when something changes; this catches what they missed.
const RESYNC: SignedDuration = SignedDuration::from_mins(10);

/// Everything one decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache.
    pub machine: &'a Machine,
    /// Other objects that share an address with it.
    pub twins: &'a [Twin],
    /// The Node of the same name.
    pub node: Option<&'a Node>,
    /// What is known about its BMC, and about previous actions.
    pub known: Known<'a>,
    /// When this was observed.
    pub now: Timestamp,
    /// The same by a clock that nobody sets.
    pub steady: Timestamp,
}

impl Observation<'_> {
    fn clocks(&self) -> Clocks {
        Clocks { wall: self.now, steady: self.steady }
    }
}

/// What a pass should do.
pub type Decision = metal_base::Decision<MachineStatus, Change, Need, Step>;

/// Decides what to do about a Machine. A Machine without `spec.pxe` is managed by another
/// controller: what was begun for it before is taken back.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let machine = seen.machine;
    let old = machine.status.clone().unwrap_or_default();
    let (new, next) =
        if machine.spec.pxe.is_some() { next_status(&old, seen) } else { left(&old, seen) };
    if new == old {
        next.unwrap_or(Decision::Rest(RESYNC))
    } else {
        Decision::Record(Box::new(new))
    }
}

fn next_status(old: &MachineStatus, seen: &Observation<'_>) -> (MachineStatus, Option<Decision>) {
    let mut new = old.clone();
    let generation = seen.machine.metadata.generation;
    new.observed_generation = generation;
    record_twins(&mut new, seen);
    record_node(&mut new, seen);
    // Never power off a machine that may be a different one.
    let is_sure = seen.twins.is_empty() && unusable(seen.machine).is_none();
    let settled = accepted::settled(seen.machine, attest::pinned(old))
        .or_else(|| accepted::settled_installation(seen.machine, old));
    let settled = settled.map(|annotation| Decision::Change(Change::Settle { annotation }));
    operations::adopt(&mut new, seen);
    let next = if seen.machine.metadata.deletion_timestamp.is_some() {
        operations::leave(&mut new, seen)
    } else if is_sure {
        operations::advance(&mut new, seen)
    } else {
        operations::at_rest(&new, seen)
    };
    let next = settled.or(next);
    operations::record(&mut new, seen);
    let state = state(&new, seen);
    let node = joined(&new, seen);
    new.node_ref = node.and_then(|it| it.metadata.name.clone()).map(LocalObjectReference::new);
    // The controller that manages machines over SSH owns these two fields.
    if seen.machine.spec.ssh.is_none() {
        new.phase = Some(state.phase.clone());
        new.message = Some(state.message.clone());
    }
    let fact = Fact {
        type_: condition::READY,
        holds: state.phase == MachinePhase::Ready,
        reason: state.reason,
        message: &state.message,
    };
    conditions::set(&mut new.conditions, fact, generation, seen.now);
    (new, next)
}

/// Conditions of a Machine that boots from the network, but `Ready`, which other controllers set as well.
const OURS: [&str; 12] = [
    condition::ADDRESSES_UNIQUE,
    condition::NODE_OWNED,
    condition::OPERATIONS_DONE,
    condition::POWERED_OFF,
    condition::REPAVED,
    condition::BMC_REACHABLE,
    condition::BOOT_ORDER_CONFIG_SUPPORTED,
    condition::IMAGE_READY,
    condition::USER_DATA_READY,
    condition::CLOUD_INIT_DONE,
    condition::TPM_VERIFIED,
    condition::BOOT_VERIFIED,
];

/// It no longer boots from the network: its Node takes pods again, and conditions that nobody keeps up
/// are removed. Counters and pinned keys stay.
fn left(old: &MachineStatus, seen: &Observation<'_>) -> (MachineStatus, Option<Decision>) {
    let mut new = old.clone();
    let next = operations::leave(&mut new, seen);
    new.conditions.retain(|it| !OURS.contains(&it.type_.as_str()));
    // Whoever manages it now says this anew.
    if new.conditions.len() < old.conditions.len() {
        new.conditions.retain(|it| it.type_ != condition::READY);
        if seen.machine.spec.ssh.is_none() {
            (new.phase, new.message) = (None, None);
        }
    }
    (new, next)
}

/// Sets the condition about shared addresses. It is absent if there never was a conflict.
fn record_twins(new: &mut MachineStatus, seen: &Observation<'_>) {
    let type_ = condition::ADDRESSES_UNIQUE;
    let message = machine_identity::describe(seen.twins);
    let fact = match &message {
        Some(message) => Fact { type_, holds: false, reason: "Ambiguous", message },
        None if new.conditions.iter().any(|condition| condition.type_ == type_) => {
            Fact { type_, holds: true, reason: "Unique", message: "" }
        }
        None => return,
    };
    conditions::set(&mut new.conditions, fact, seen.machine.metadata.generation, seen.now);
}

/// Sets the condition about a Node of its name that is not its own. It is absent if there never was one.
fn record_node(new: &mut MachineStatus, seen: &Observation<'_>) {
    let type_ = condition::NODE_OWNED;
    let ownership = seen.node.map(|node| ownership(seen.machine, node));
    let was = new.conditions.iter().any(|condition| condition.type_ == type_);
    let fact = match ownership {
        Some(Ownership::Another) => {
            Fact { type_, holds: false, reason: NODE_OF_ANOTHER, message: NOT_ITS_OWN }
        }
        Some(Ownership::Unknown) if seen.known.asks => {
            let message = "the Node of this name has no InternalIP, so nobody knows whose it is, and the \
                           certificate that the machine asks for is not approved; if it is the same machine, \
                           delete the Node; if it is another one, rename this Machine";
            Fact { type_, holds: false, reason: "AddressUnknown", message }
        }
        Some(Ownership::Own) | None if was => {
            Fact { type_, holds: true, reason: "Own", message: "" }
        }
        Some(Ownership::Own | Ownership::Unknown) | None => return,
    };
    conditions::set(&mut new.conditions, fact, seen.machine.metadata.generation, seen.now);
}

/// The name of the ServiceAccount that every namespace has.
const RESERVED: &str = "default";
/// Reason of conditions where a Node of the name is another machine's.
const NODE_OF_ANOTHER: &str = "NodeOfAnother";
/// The same in words.
const NOT_ITS_OWN: &str = "a Node of this name has none of the addresses of spec.pxe.dhcpLeases, nor the UUID \
    that the BMC of this machine tells, so this machine gets no token and no first certificate, and pods are \
    not moved away before it is switched off; if it is the same machine, delete the Node, or add its address; \
    if it is another one, rename this Machine";

/// The Node that the machine is, as far as that is known: one whose kubelet uses another network than that of
/// the leases is taken for it if the machine has attested, as it could not while there was a Node of another.
fn joined<'a>(status: &MachineStatus, seen: &Observation<'a>) -> Option<&'a Node> {
    let has_attested = attest::pinned(status).is_some();
    seen.node.filter(|node| has_attested || ownership(seen.machine, node) != Ownership::Another)
}

fn state(status: &MachineStatus, seen: &Observation<'_>) -> ReportedPhase {
    let name = seen.machine.metadata.name.as_deref().unwrap_or_default();
    let state = |phase, reason, message| ReportedPhase { phase, reason, message };
    let failed = |reason, message| state(MachinePhase::Failed, reason, message);
    if let Some(message) = machine_identity::describe(seen.twins) {
        return failed("Ambiguous", message);
    }
    if let Some(message) = unusable(seen.machine) {
        return failed("InvalidLease", message);
    }
    if name == RESERVED {
        let message = "a Machine cannot join by this name, which every namespace has a ServiceAccount of: \
                       create it anew by another name";
        return failed("NameReserved", message.to_owned());
    }
    if let Some(state) = operations::state(status, seen) {
        return state;
    }
    let node = joined(status, seen);
    if node.is_some_and(is_ready) {
        return state(MachinePhase::Ready, "NodeReady", format!("Node {name} is ready"));
    }
    if let Some(condition) = attest::refused(status) {
        let refusal = attest::Refusal::of(condition).unwrap_or(attest::Refusal::KeyDiffers);
        return failed(refusal.reason(), condition.message.clone());
    }
    if let Some(condition) = attest::boot_refused(seen.machine, status) {
        let refusal = attest::Refusal::of(condition).unwrap_or(attest::Refusal::PcrDiffers);
        return failed(refusal.reason(), condition.message.clone());
    }
    if node.is_some() {
        let message = format!("Node {name} is not ready");
        return state(MachinePhase::Joining, "NodeNotReady", message);
    }
    if attest::pinned(status).is_some() {
        let message = format!("the machine has attested; Node {name} does not exist yet");
        return state(MachinePhase::Joining, "NoNode", message);
    }
    if seen.node.is_some() {
        return failed(NODE_OF_ANOTHER, NOT_ITS_OWN.to_owned());
    }
    let message = "the machine has not attested yet".to_owned();
    state(MachinePhase::Pending, "NotAttested", message)
}

/// What is wrong with its leases. The schema checks the same, but the object may be older than the
/// schema.
fn unusable(machine: &Machine) -> Option<String> {
    let leases = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
    let mut leases = leases.enumerate().peekable();
    if leases.peek().is_none() {
        return Some(
            "spec.pxe.dhcpLeases is empty: add the network interface that the machine boots from"
                .into(),
        );
    }
    leases.find_map(|(at, lease)| {
        let unusable = Lease::parse(lease).err()?;
        Some(format!("spec.pxe.dhcpLeases[{at}].{unusable}"))
    })
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    ready.any(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests;
