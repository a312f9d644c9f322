//! Which attempt of a discovery is in progress. The status says so; if somebody has dropped that,
//! it follows from what the attempt has left in the cluster.

use super::{Observation, Settings, last_step::is_from};
use crate::report::InventorySummary;
use metal_api::{ObjectReference, Server, ServerBootConfiguration, ServerStatus, annotation};

/// Whether the keys and the boot configuration of this attempt are all in place; the number is
/// written last.
pub(super) fn is_prepared(configuration: &ServerBootConfiguration, attempt: u32) -> bool {
    prepared(configuration) == Some(attempt)
}

fn prepared(configuration: &ServerBootConfiguration) -> Option<u32> {
    let annotations = configuration.metadata.annotations.as_ref()?;
    annotations.get(annotation::DISCOVERY_ATTEMPT)?.parse().ok()
}

/// The attempt that the status names.
pub(super) fn recorded(status: &ServerStatus) -> Option<u32> {
    let attempts = status.discovery.as_ref().and_then(|discovery| discovery.attempts)?;
    u32::try_from(attempts).ok()
}

/// The attempt in progress, from what it has left behind: its boot configuration, or its report.
pub(super) fn lost(
    status: &ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
) -> Option<u32> {
    let begun = status.state_since.as_ref().map(|since| since.0);
    let is_new = |report: &&InventorySummary| {
        let received = report.spec.received_time.as_ref().map(|time| time.0);
        begun.zip(received).is_none_or(|(begun, received)| is_from(received, begun))
    };
    let reported = || reported_by(seen.server, seen.report.filter(is_new)?);
    discovery_of(seen, settings).and_then(prepared).or_else(reported)
}

/// The attempt after all previous ones. If the host is on and may be in an attempt whose record was
/// lost, it is that one.
pub(super) fn next(
    status: &ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    boots: bool,
) -> u32 {
    let prepared = discovery_of(seen, settings).and_then(prepared);
    let reported = seen.report.and_then(|report| reported_by(seen.server, report));
    let known = recorded(status);
    if let Some(prepared) = prepared.filter(|it| !boots && known.is_none_or(|at| at <= *it)) {
        return prepared;
    }
    let last = [known, prepared, reported].into_iter().flatten().max();
    last.unwrap_or(0).saturating_add(1)
}

fn reported_by(server: &Server, report: &InventorySummary) -> Option<u32> {
    let id = report.spec.boot_configuration_uid.as_deref()?;
    let (uid, attempt) = id.rsplit_once('.')?;
    (server.metadata.uid.as_deref() == Some(uid)).then(|| attempt.parse().ok())?
}

/// The discovery's boot configuration, if it exists and the server refers to it.
fn discovery_of<'a>(
    seen: &Observation<'a>,
    settings: &Settings,
) -> Option<&'a ServerBootConfiguration> {
    let refers =
        seen.server.spec.boot_configuration_ref.as_ref() == Some(&reference(seen, settings));
    seen.configuration.filter(|_| refers)
}

/// The discovery's boot configuration: named like the server, in the operator's namespace.
pub(super) fn reference(seen: &Observation<'_>, settings: &Settings) -> ObjectReference {
    ObjectReference {
        namespace: settings.namespace.clone(),
        name: seen.server.metadata.name.clone().unwrap_or_default(),
    }
}
