//! A ServerMaintenance that is deleted releases its server, and no longer asks the claim for it.

use metal_api::{IndicatorLed, Server, ServerClaim, ServerMaintenance, annotation};

/// Whether the maintenance of this namespace and name holds the server.
pub fn holds(server: &Server, namespace: &str, name: &str) -> bool {
    let holder = server.spec.server_maintenance_ref.as_ref();
    holder.is_some_and(|holder| holder.namespace == namespace && holder.name == name)
}

/// Whether the locator LED of a server is on because of a maintenance that releases it.
pub fn must_turn_off_led(server: &Server, maintenance: &ServerMaintenance) -> bool {
    let wanted = maintenance.spec.locator_led.as_ref();
    let is_on = |led: &&IndicatorLed| **led != IndicatorLed::Off;
    wanted.filter(is_on).is_some_and(|led| server.spec.indicator_led.as_ref() == Some(led))
}

/// Labels that the claim of a server has because of a maintenance, if none of `others` is about
/// that server.
pub fn labels_to_remove(claim: &ServerClaim, others: &[&ServerMaintenance]) -> Vec<&'static str> {
    let labels = claim.metadata.labels.as_ref();
    let mut remove = vec![annotation::MAINTENANCE_NEEDED, annotation::MAINTENANCE_APPROVED];
    remove.retain(|key| others.is_empty() && labels.is_some_and(|all| all.contains_key(*key)));
    remove
}
