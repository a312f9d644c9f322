//! Fields that users may set but that nothing acts on yet. Each function returns lines for one
//! event on the object: what has no effect, and what that means.

#[cfg(test)]
mod tests;

use crate::{
    bmc::{Verification, is_no_certificate, scheme},
    foreign_cleanup::Kind,
    redfish::{IndicatorLed, Scheme},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_api::{
    Bmc, Endpoint, IpxeBootConfig, Operation, Server, ServerClaim, ServerState, TaintEffect,
    annotation::{
        ACCEPT_ADDRESS, ACCEPT_CERTIFICATE, BOOT_METHOD, MAINTENANCE_APPROVED,
        MAINTENANCE_REQUESTED, METADATA_PREFIX,
    },
};
use std::net::IpAddr;

/// What has no effect on a Server.
pub fn on_server(server: &Server) -> Vec<String> {
    let spec = &server.spec;
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    let waits = spec.server_maintenance_ref.is_some() && state != Some(&ServerState::Maintenance);
    let evicts = |taint: &&metal_api::Taint| taint.effect == Some(TaintEffect::Evict);
    let evict = spec.taints.iter().find(evicts);
    let led = spec.indicator_led.as_ref().map(ToString::to_string);
    let dark = led.is_some_and(|led| led.parse::<IndicatorLed>().is_err());
    let rescue = spec.maintenance_boot_configuration_ref.is_some()
        && state != Some(&ServerState::Maintenance);
    let both = spec.bmc.is_some() && spec.bmc_ref.is_some();
    let mut lines = ignored([
        (!spec.boot_order.is_empty(), "spec.bootOrder", "the boot order is not changed"),
        (spec.power.is_some(), "spec.power", "power follows the claim, and is off without one"),
        (waits, "spec.serverMaintenanceRef", "no maintenance is started"),
        (spec.bios_settings_ref.is_some(), "spec.biosSettingsRef", "BIOS settings are not applied"),
        (rescue, "spec.maintenanceBootConfigurationRef", "no maintenance is started"),
        (dark, "spec.indicatorLED", "it is not Lit, Blinking or Off"),
        (both, "spec.bmc", "spec.bmcRef is set and takes precedence"),
        (evict.is_some(), "the effect Evict in spec.taints", "a bound claim is not evicted"),
    ]);
    lines.extend(shown_to_hosts(&server.metadata));
    if spec.bmc_ref.is_some() {
        lines.extend(vouched_for_elsewhere(&server.metadata));
    } else {
        lines.extend(no_certificate(&server.metadata));
    }
    lines.extend(operation(&server.metadata, &[Operation::Retry]));
    lines
}

/// What has no effect on a BMC. `consoleProtocol` is not reported if the MAC prefix database set
/// it, about which there is a single report. A host name is compared with certificates that
/// authorities vouch for; `default` is the scheme of BMCs without one.
pub fn on_bmc(bmc: &Bmc, verification: Verification, default: Scheme) -> Vec<String> {
    let spec = &bmc.spec;
    let name = spec.hostname.as_deref().is_some_and(|name| !name.is_empty());
    let compares = verification == Verification::Authorities
        && scheme(&spec.protocol, default) == Ok(Scheme::Https);
    let unused = "it is only compared with certificates, by https with --bmc-ca-file";
    let console = spec.console_protocol.is_some() && spec.endpoint_ref.is_none();
    let mut lines = ignored([
        (name && !compares, "spec.hostname", unused),
        (console, "spec.consoleProtocol", "consoles are not available"),
        (spec.bmc_settings_ref.is_some(), "spec.bmcSettingsRef", "BMC settings are not applied"),
    ]);
    lines.extend(boot_method(&bmc.metadata, "the Server"));
    lines.extend(no_certificate(&bmc.metadata));
    lines.extend(no_address(&bmc.metadata));
    lines.extend(operation(&bmc.metadata, &[]));
    lines
}

/// What has no effect on a ServerClaim.
pub fn on_claim(claim: &ServerClaim) -> Vec<String> {
    let user_data = claim.spec.user_data_ref.is_some();
    let has = |key: &str| claim.metadata.labels.as_ref().is_some_and(|all| all.contains_key(key));
    let (approved, requested) = (MAINTENANCE_APPROVED, MAINTENANCE_REQUESTED);
    let mut lines = ignored([
        (user_data, "spec.userDataRef", "there is no metadata service"),
        (
            has(approved),
            "the label metal.ironcore.dev/maintenance-approved",
            "no maintenance is started",
        ),
        (
            has(requested),
            "the label metal.ironcore.dev/maintenance-requested",
            "no maintenance is started",
        ),
    ]);
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    lines.extend(boot_method(&claim.metadata, &format!("the ServerBootConfiguration {name}")));
    lines.extend(operation(&claim.metadata, &[]));
    lines
}

/// What has no effect on an Endpoint.
pub fn on_endpoint(endpoint: &Endpoint) -> Vec<String> {
    let mut lines = vouched_for_elsewhere(&endpoint.metadata);
    lines.extend(operation(&endpoint.metadata, &[]));
    lines
}

/// What has no effect on a ServerBootConfiguration.
pub fn on_boot(meta: &ObjectMeta) -> Vec<String> {
    operation(meta, &[]).into_iter().collect()
}

/// What has no effect on a boot config of either kind.
pub fn on_config(meta: &ObjectMeta) -> Vec<String> {
    let mut lines = on_boot(meta);
    lines.extend(boot_method(meta, "its ServerBootConfiguration"));
    lines
}

/// What has no effect on an IPXEBootConfig.
pub fn on_ipxe(config: &IpxeBootConfig) -> Vec<String> {
    let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let spec = &config.spec;
    let service = "the script names the service by --ipxe-service-url of boot-operator";
    let image = "the script loads spec.kernelURL and spec.initrdURL";
    let mut lines = ignored([
        (is_set(&spec.image), "spec.image", image),
        (is_set(&spec.ipxe_server_url), "spec.ipxeServerURL", service),
    ]);
    lines.extend(on_config(&config.metadata));
    lines
}

/// The boot method on an object where nobody looks for it; `place` is where it counts.
fn boot_method(meta: &ObjectMeta, place: &str) -> Option<String> {
    misplaced(meta, BOOT_METHOD, place)
}

fn misplaced(meta: &ObjectMeta, key: &str, place: &str) -> Option<String> {
    let is_set = meta.annotations.as_ref().is_some_and(|all| all.contains_key(key));
    is_set.then(|| format!("the annotation {key} has no effect here: set it on {place}"))
}

/// What a person vouches for, on an object where it does not count.
fn vouched_for_elsewhere(meta: &ObjectMeta) -> Vec<String> {
    let keys = [ACCEPT_ADDRESS, ACCEPT_CERTIFICATE];
    keys.into_iter().filter_map(|key| misplaced(meta, key, "the BMC")).collect()
}

/// What a person vouches for as a certificate, if it is not a fingerprint.
fn no_certificate(meta: &ObjectMeta) -> Option<String> {
    is_no_certificate(meta).then(|| {
        format!(
            "the annotation {ACCEPT_CERTIFICATE} has no effect: it has to be sha256: and 64 \
             hexadecimal digits"
        )
    })
}

/// What a person vouches for as an address, if it is not one.
fn no_address(meta: &ObjectMeta) -> Option<String> {
    let text = meta.annotations.as_ref()?.get(ACCEPT_ADDRESS)?;
    let is_one = text.trim().parse::<IpAddr>().is_ok();
    (!is_one).then(|| {
        format!("the annotation {ACCEPT_ADDRESS} has no effect: it has to be an IP address")
    })
}

/// Whether the annotation of an object says that it is to be left alone.
pub fn is_ignored(meta: &ObjectMeta) -> bool {
    Operation::requested(meta).ok().flatten().is_some_and(Operation::ignores_self)
}

/// The consequence if nothing acts on any object of this kind; `None` for kinds that work.
pub fn on_kind(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Endpoint | Kind::Bmc | Kind::BmcSecret => None,
        Kind::BmcUser => Some("BMC accounts are not created or changed"),
        Kind::ServerMaintenance => Some("no maintenance is started"),
        Kind::ServerReadinessRule => Some("taints are not set or removed"),
        Kind::BiosSettings | Kind::BiosSettingsSet => Some("BIOS settings are not applied"),
        Kind::BiosVersion | Kind::BiosVersionSet => Some("BIOS versions are not updated"),
        Kind::BmcSettings | Kind::BmcSettingsSet => Some("BMC settings are not applied"),
        Kind::BmcVersion | Kind::BmcVersionSet => Some("BMC firmware is not updated"),
    }
}

/// Labels and annotations that are meant for a booted host.
fn shown_to_hosts(meta: &ObjectMeta) -> Option<String> {
    let labels = meta.labels.iter().chain(&meta.annotations);
    let mut keys: Vec<_> =
        labels.flat_map(|all| all.keys()).filter(|key| key.starts_with(METADATA_PREFIX)).collect();
    keys.sort();
    let first = keys.first()?;
    Some(format!("{first} has no effect in this version: there is no metadata service"))
}

fn ignored<const N: usize>(fields: [(bool, &str, &str); N]) -> Vec<String> {
    let set = fields.into_iter().filter(|(is_set, ..)| *is_set);
    set.map(|(_, field, so)| format!("{field} has no effect in this version: {so}")).collect()
}

/// Operations that have no effect. Every controller ignores an object whose annotation says so;
/// `known` are the other operations that this one supports.
fn operation(meta: &ObjectMeta, known: &[Operation]) -> Option<String> {
    match Operation::requested(meta) {
        Ok(None) => None,
        Ok(Some(operation)) if operation.ignores_self() || known.contains(&operation) => None,
        Ok(Some(operation)) => Some(format!(
            "the annotation {}={operation} has no effect in this version: remove it",
            metal_api::annotation::OPERATION
        )),
        Err(unknown) => Some(unknown.to_string().chars().take(200).collect()),
    }
}
