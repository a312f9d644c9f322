//! Writes facts into the status.

use super::Observation;
use crate::{
    bmc::REASON_OF_SERVER,
    conditions::{self, Fact},
    ownership::{controller, is_controlled_by},
    redfish::{Drive, Inventory, Processor, Storage, SystemReading, Volume, is_another_reset},
    serial_number::names_one,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::{
    api::resource::Quantity,
    apis::meta::v1::{Condition, Time},
};
use kube::Resource;
use metal_api::{
    BootState, IndicatorLed, NetworkInterface, PowerState, Server, ServerBootConfiguration,
    ServerClaim, ServerState, ServerStatus, StorageDrive, StorageVolume, condition,
};

/// The content of the condition `Ready`.
#[derive(Clone, Copy)]
pub(super) enum Ready<'a> {
    /// Nothing is left to do; the reason is the state.
    Yes,
    /// Waiting: a CamelCase reason, and what is waited for or what a person must do.
    Waits(&'a str, &'a str),
}

/// Sets the time of a new state; returns whether the state is new.
pub(super) fn enter(new: &mut ServerStatus, old: &ServerStatus, now: Timestamp) -> bool {
    if new.state.is_none() {
        new.state = Some(ServerState::Initial);
    }
    let entered = new.state != old.state;
    if entered {
        new.state_since = Some(Time(now));
    }
    entered
}

/// Conditions that decisions depend on, whose times say when something began.
const OURS: [&str; 2] = [condition::CLAIM_BOUND, condition::MEDIUM_INSERTED];

/// Whether both lists have the same content, apart from the generation of the object.
pub(super) fn say_the_same(old: &[Condition], new: &[Condition]) -> bool {
    let said = |all: &[Condition]| all.iter().cloned().map(unstamped).collect::<Vec<_>>();
    said(old) == said(new)
}

fn unstamped(condition: Condition) -> Condition {
    Condition { observed_generation: None, ..condition }
}

/// Restores the time of a condition that was changed back and forth in one pass.
pub(super) fn keep_times(new: &mut ServerStatus, old: &ServerStatus) {
    for condition in &mut new.conditions {
        let before = find(&old.conditions, &condition.type_);
        let before = before.filter(|before| before.status == condition.status);
        let is_refused = condition.reason == REASON_OF_SERVER;
        let before = before.filter(|before| !is_refused || before.reason == condition.reason);
        if let Some(before) = before.filter(|_| !OURS.contains(&condition.type_.as_str())) {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
}

/// Whether the new status contains anything that any decision depends on. Readings of power and
/// LED, and what is waited for, may wait a while to be recorded with something that matters: a
/// server in discovery passes through many of them in seconds.
pub(super) fn is_material(old: &ServerStatus, new: &ServerStatus) -> bool {
    for type_ in OURS {
        let said = |status| find(status, type_).cloned().map(unstamped);
        if said(&old.conditions) != said(&new.conditions) {
            return true;
        }
    }
    let mut new = new.clone();
    new.observed_generation = old.observed_generation;
    new.power_state.clone_from(&old.power_state);
    new.indicator_led.clone_from(&old.indicator_led);
    new.last_reset_time.clone_from(&old.last_reset_time);
    new.conditions.clone_from(&old.conditions);
    new != *old
}

/// The condition `Ready`.
pub(super) fn ready(new: &mut ServerStatus, ready: Ready<'_>, now: Timestamp) {
    let state = new.state.as_ref().map_or("Initial", ServerState::as_str).to_owned();
    let (holds, reason, message) = match ready {
        Ready::Yes => (true, state.as_str(), ""),
        Ready::Waits(reason, message) => (false, reason, message),
    };
    let fact = Fact { type_: condition::READY, holds, reason, message };
    conditions::set(&mut new.conditions, fact, new.observed_generation, now);
}

/// Whether the recorded status says that this is waited for.
pub(super) fn is_waiting(server: &Server, reason: &str) -> bool {
    let conditions = server.status.as_ref().map(|status| status.conditions.as_slice());
    let ready = find(conditions.unwrap_or_default(), condition::READY);
    ready.is_some_and(|ready| ready.reason == reason)
}

/// The BMC answers.
pub(super) fn reachable(new: &mut ServerStatus, now: Timestamp) {
    let type_ = condition::BMC_REACHABLE;
    let fact = Fact { type_, holds: true, reason: "Answers", message: "" };
    conditions::set(&mut new.conditions, fact, new.observed_generation, now);
}

/// The BMC does not answer, or cannot be asked.
pub(super) fn unreachable(new: &mut ServerStatus, reason: &str, message: &str, now: Timestamp) {
    let fact = Fact { type_: condition::BMC_REACHABLE, holds: false, reason, message };
    let generation = new.observed_generation;
    if reason == REASON_OF_SERVER {
        // When the credentials are tried again counts from there.
        conditions::set_from_reason(&mut new.conditions, fact, generation, now);
    } else {
        conditions::set(&mut new.conditions, fact, generation, now);
    }
    ready(new, Ready::Waits("BMCUnreachable", message), now);
}

/// Records the generation, and how the last pass went. A server whose passes never failed does not
/// have the condition.
pub(super) fn reconciled(new: &mut ServerStatus, seen: &Observation<'_>) {
    new.observed_generation = seen.server.metadata.generation;
    let type_ = condition::RECONCILED;
    let fact = match (seen.failure, seen.unstored) {
        (Some(failure), _) => {
            Fact { type_, holds: false, reason: failure.reason, message: &failure.text }
        }
        (None, Some(message)) => {
            Fact { type_, holds: false, reason: "CertificateNotStored", message }
        }
        (None, None) if find(&new.conditions, type_).is_some() => {
            Fact { type_, holds: true, reason: "Succeeded", message: "" }
        }
        (None, None) => return,
    };
    conditions::set(&mut new.conditions, fact, new.observed_generation, seen.now);
}

/// The recorded status with the failure that keeps occurring, if it does not say so yet: the facts
/// that are being looked for may never be known.
pub(super) fn with_failure(old: &ServerStatus, seen: &Observation<'_>) -> Option<ServerStatus> {
    let mut told = old.clone();
    reconciled(&mut told, seen);
    // Nothing else is about this generation yet.
    told.observed_generation = old.observed_generation;
    conditions::is_stuck(seen.failure, &old.conditions, &told.conditions).then_some(told)
}

/// Adopts a reading of the system. A value that the BMC omits keeps its recorded value.
pub(super) fn take_system(new: &mut ServerStatus, system: &SystemReading) {
    let keep = |slot: &mut Option<String>, value: &Option<String>| {
        if value.is_some() {
            slot.clone_from(value);
        }
    };
    keep(&mut new.manufacturer, &system.manufacturer);
    keep(&mut new.model, &system.model);
    keep(&mut new.sku, &system.sku);
    // A placeholder is no news of the machine.
    let is_one = |serial: &Option<String>| serial.as_deref().is_some_and(names_one);
    if is_one(&system.serial_number) || !is_one(&new.serial_number) {
        keep(&mut new.serial_number, &system.serial_number);
    }
    keep(&mut new.bios_version, &system.bios_version);
    if let Some(bytes) = system.memory_bytes {
        new.total_system_memory = Some(quantity(bytes));
    }
    new.power_state = Some(PowerState::from(system.power.to_string().as_str()));
    if let Some(at) = system.last_reset {
        take_last_reset(new, at);
    }
    if let Some(led) = system.indicator_led {
        new.indicator_led = Some(IndicatorLed::from(led.to_string().as_str()));
    }
}

fn take_last_reset(new: &mut ServerStatus, at: Timestamp) {
    let known = new.last_reset_time.as_ref().map(|known| known.0);
    if known.is_none_or(|known| is_another_reset(known, at)) {
        // The API server stores whole seconds.
        new.last_reset_time = Timestamp::from_second(at.as_second()).ok().map(Time);
    }
}

/// Adopts what the BMC knows of the parts.
pub(super) fn take_inventory(new: &mut ServerStatus, inventory: &Inventory, now: Timestamp) {
    new.processors = inventory.processors.iter().map(processor).collect();
    new.storages = inventory.storages.iter().map(storage).collect();
    let type_ = condition::INVENTORY_COMPLETE;
    if inventory.missing.is_empty() {
        new.conditions.retain(|condition| condition.type_ != type_);
        return;
    }
    let mut message =
        format!("the BMC did not return valid data for {}", inventory.missing.join("; "));
    message.truncate(message.floor_char_boundary(1024));
    let fact = Fact { type_, holds: false, reason: "PartsMissing", message: &message };
    conditions::set(&mut new.conditions, fact, new.observed_generation, now);
}

/// Adopts what the host itself reported.
pub(super) fn take_interfaces(new: &mut ServerStatus, interfaces: &[NetworkInterface]) {
    new.network_interfaces = interfaces.to_vec();
}

/// State of a boot configuration. One that has not been looked at yet is `Pending`.
pub(crate) fn configuration_state(configuration: &ServerBootConfiguration) -> BootState {
    let Some(status) = &configuration.status else { return BootState::Pending };
    let (seen, current) = (status.observed_generation, configuration.metadata.generation);
    if seen.zip(current).is_some_and(|(seen, current)| seen != current) {
        // The state is about an outdated specification.
        return BootState::Pending;
    }
    status.state.clone().unwrap_or(BootState::Pending)
}

/// Whether a boot configuration matches the claim, for this server.
pub(crate) fn is_current(
    configuration: &ServerBootConfiguration,
    claim: &ServerClaim,
    server: &Server,
) -> bool {
    let spec = &configuration.spec;
    Some(&spec.server_ref.name) == server.metadata.name.as_ref()
        && spec.image.as_ref() == Some(&claim.spec.image)
        && spec.ignition_secret_ref == claim.spec.ignition_secret_ref
}

/// Why a boot configuration cannot become that of `owner`, if something else controls it: the API
/// server allows one controller. It may also be left from an earlier object of the same name, with
/// which it is about to go.
pub(crate) fn name_taken<K: Resource>(
    configuration: &ServerBootConfiguration,
    owner: &K,
) -> Option<String> {
    let meta = &configuration.metadata;
    let other = controller(meta).filter(|_| !is_controlled_by(meta, owner))?;
    Some(format!(
        "ServerBootConfiguration {}/{} exists, and belongs to {} {} (UID {}): delete it, unless it \
         is being deleted",
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
        other.kind,
        other.name,
        other.uid,
    ))
}

/// Why a boot configuration is in `Error`, in the words of the boot-operator.
pub(super) fn configuration_error(configuration: &ServerBootConfiguration) -> String {
    let conditions = configuration.status.iter().flat_map(|status| &status.conditions);
    let why: Vec<_> = conditions
        .filter(|condition| condition.status == "False" && !condition.message.is_empty())
        .map(|condition| condition.message.as_str())
        .collect();
    format!("{} is in Error: {}", named(configuration), why.join("; "))
}

/// What is waited for while a boot configuration is prepared.
pub(super) fn configuration_pending(configuration: &ServerBootConfiguration) -> String {
    let named = named(configuration);
    format!("{named} is not Ready: see its conditions; if it has none, boot-operator does not run")
}

fn named(configuration: &ServerBootConfiguration) -> String {
    let meta = &configuration.metadata;
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
    format!("ServerBootConfiguration {namespace}/{name}")
}

pub(super) fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

fn processor(from: &Processor) -> metal_api::Processor {
    let int = |value: Option<u32>| value.and_then(|value| i32::try_from(value).ok());
    metal_api::Processor {
        id: from.id.clone(),
        type_: from.type_.clone(),
        architecture: from.architecture.clone(),
        instruction_set: from.instruction_set.clone(),
        manufacturer: from.manufacturer.clone(),
        model: from.model.clone(),
        max_speed_mhz: int(from.max_speed_mhz),
        total_cores: int(from.total_cores),
        total_threads: int(from.total_threads),
    }
}

fn storage(from: &Storage) -> metal_api::Storage {
    metal_api::Storage {
        name: Some(from.name.clone()),
        state: from.state.clone(),
        drives: from.drives.iter().map(drive).collect(),
        volumes: from.volumes.iter().map(volume).collect(),
    }
}

fn drive(from: &Drive) -> StorageDrive {
    StorageDrive {
        name: Some(from.name.clone()),
        media_type: from.media_type.clone(),
        type_: from.type_.clone(),
        capacity: from.capacity_bytes.map(quantity),
        vendor: from.vendor.clone(),
        model: from.model.clone(),
        state: from.state.clone(),
    }
}

fn volume(from: &Volume) -> StorageVolume {
    StorageVolume {
        name: Some(from.name.clone()),
        capacity: from.capacity_bytes.map(quantity),
        raid_type: from.raid_type.clone(),
        volume_usage: from.usage.clone(),
        state: from.state.clone(),
    }
}

/// Bytes as Kubernetes writes them: in the largest binary unit without a fraction.
fn quantity(bytes: u64) -> Quantity {
    let units = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
    let unit = units.into_iter().find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size));
    Quantity(
        unit.map_or_else(|| bytes.to_string(), |(size, unit)| format!("{}{unit}", bytes / size)),
    )
}
