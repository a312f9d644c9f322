//! The path without any faults.

use crate::{
    claim::{Claim, ignition_digest},
    shared::{DIALECTS, HTTP, PXE, machine, on_stack},
};
use e2e::stack::{HTTP_TENANT, Machine, NAMESPACE, PXE_TENANT, Stack, Tenant, deleted};
use kube::Api;
use metal_api::{Server, ServerBootConfiguration, ServerInventory, ServerState};
use metal_simulator::{MachineReport, Power, Reset};

#[test]
fn a_bmc_becomes_a_server_that_is_claimed_booted_by_pxe_and_given_back() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        let images = whole_path(stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        assert_eq!(images.len(), 3, "kernel, initrd and squashfs: {images:?}");
    });
}

#[test]
fn a_bmc_becomes_a_server_that_is_claimed_booted_by_uefi_http_and_given_back() {
    on_stack(async |stack| {
        let machine = machine(stack, HTTP);
        let images = whole_path(stack, &machine, &stack.registry.image(HTTP_TENANT)).await;
        assert_eq!(images.len(), 1, "one UKI: {images:?}");
    });
}

#[test]
fn bmcs_that_speak_dialects_become_servers_that_are_claimed_booted_and_given_back() {
    on_stack(async |stack| {
        let image = stack.registry.image(PXE_TENANT);
        let paths = DIALECTS.map(|fleet| {
            let image = &image;
            async move { whole_path(stack, &machine(stack, fleet), image).await }
        });
        futures::future::join_all(paths).await;
    });
}

/// From the Endpoint to `Available`, and through a claim to `Available` again; returns what the
/// tenant's machine booted.
async fn whole_path(stack: &Stack, machine: &Machine<'_>, image: &str) -> Vec<String> {
    machine.plug_in().await.unwrap();
    let server = machine.enters(ServerState::Available).await.unwrap();
    is_described(stack, machine, &server).await;
    nothing_is_left_of_the_discovery(stack, machine).await;
    resets_are(machine, 1);

    let claim = Claim::of(stack, machine, image).await;
    claim.is_bound().await;
    machine.enters(ServerState::Reserved).await.unwrap();
    let Tenant { images, ignition } = machine.boots_tenant().await.unwrap();
    assert_eq!(ignition, Some(ignition_digest()));

    claim.delete().await;
    claim.is_gone().await;
    is_free_again(machine).await;
    resets_are(machine, 2);
    images
}

/// The server has what its BMC and its agent know of the machine.
pub(crate) async fn is_described(stack: &Stack, machine: &Machine<'_>, server: &Server) {
    let report = machine.report().unwrap();
    let status = server.status.clone().unwrap_or_default();
    assert_eq!(server.spec.effective_uuid().unwrap().to_string(), report.uuid.to_string());
    assert_eq!(status.serial_number.as_deref(), Some(report.serial.as_str()));
    let mut macs: Vec<_> =
        status.network_interfaces.iter().map(|nic| nic.mac_address.clone()).collect();
    macs.sort();
    let mut nics: Vec<_> = report.nic_macs.iter().map(ToString::to_string).collect();
    nics.sort();
    assert_eq!(macs, nics);
    assert!(!status.processors.is_empty() && !status.storages.is_empty(), "{status:?}");
    assert_eq!(report.power, Power::Off);
    let inventories = Api::<ServerInventory>::all(stack.client.clone());
    let inventory = inventories.get(&machine.server_name()).await.unwrap();
    assert_eq!(inventory.spec.report.system_info.system_information.serial_number, report.serial);
}

/// The boot configuration is deleted, and the server no longer refers to it.
async fn nothing_is_left_of_the_discovery(stack: &Stack, machine: &Machine<'_>) {
    let configurations =
        Api::<ServerBootConfiguration>::namespaced(stack.client.clone(), NAMESPACE);
    deleted(&configurations, &machine.server_name()).await.unwrap();
    let without = |server: &Server| server.spec.boot_configuration_ref.is_none();
    machine.server("without boot configuration", without).await.unwrap();
}

/// The server is not claimed, and it is off.
pub(crate) async fn is_free_again(machine: &Machine<'_>) {
    let is_free = |server: &Server| {
        let state = server.status.as_ref().and_then(|status| status.state.as_ref());
        let spec = &server.spec;
        state == Some(&ServerState::Available)
            && spec.server_claim_ref.is_none()
            && spec.boot_configuration_ref.is_none()
    };
    machine.server("free again", is_free).await.unwrap();
    machine.is("off", |report| report.power == Power::Off).await.unwrap();
}

/// The machine was switched on and shut down this many times, and not reset in any other way.
pub(crate) fn resets_are(machine: &Machine<'_>, cycles: u32) {
    let MachineReport { counters, journal, .. } = machine.report().unwrap();
    let seen = (
        counters.resets.of(Reset::On),
        // Pressing its button also asks a host to shut down.
        counters.resets.of(Reset::GracefulShutdown) + counters.resets.of(Reset::PushPowerButton),
        counters.resets.total(),
        counters.needless_resets,
    );
    assert_eq!(seen, (cycles, cycles, 2 * cycles, 0), "{} {journal:#?}", machine.name());
}
