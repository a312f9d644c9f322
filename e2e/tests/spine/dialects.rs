//! BMCs that lack something, or refuse it: their conditions say so.

use crate::shared::{BOOT_REFUSED, NO_SYSTEMS, SESSIONS_FULL, denied, holds, machine, on_stack};
use kube::Api;
use metal_api::{Bmc, Server, condition};
use metal_simulator::Power;

const SYSTEM: &str = "/redfish/v1/Systems/1";

#[test]
fn a_bmc_without_systems_is_connected_and_one_without_a_free_session_is_told_so() {
    on_stack(async |stack| {
        let (empty, full) = (machine(stack, NO_SYSTEMS), machine(stack, SESSIONS_FULL));
        empty.plug_in().await.unwrap();
        full.plug_in().await.unwrap();
        let reason = |bmc: &Bmc, type_| {
            let conditions = &bmc.status.as_ref()?.conditions;
            denied(conditions, type_).map(|(reason, _)| reason.to_owned())
        };
        let is_connected = |bmc: &Bmc| {
            let conditions = bmc.status.as_ref().map(|status| status.conditions.as_slice());
            holds(conditions.unwrap_or_default(), condition::READY)
                && reason(bmc, condition::SYSTEMS_KNOWN).as_deref() == Some("NoSystems")
        };
        empty.bmc("connected, without systems", is_connected).await.unwrap();
        let is_told =
            |bmc: &Bmc| reason(bmc, condition::READY).as_deref() == Some("SessionLimitExceeded");
        full.bmc("without a free session", is_told).await.unwrap();
        let servers = Api::<Server>::all(stack.client.clone());
        for machine in [empty, full] {
            assert!(servers.get_opt(&machine.server_name()).await.unwrap().is_none());
        }
    });
}

#[test]
fn a_boot_override_that_is_refused_in_every_form_is_told_and_the_host_is_not_switched_on() {
    on_stack(async |stack| {
        let machine = machine(stack, BOOT_REFUSED);
        machine.plug_in().await.unwrap();
        let told = |server: &Server| {
            let conditions = &server.status.as_ref()?.conditions;
            let (reason, message) = denied(conditions, condition::READY)?;
            (reason == "BootOverrideFailed").then(|| message.to_owned())
        };
        let is_told = |server: &Server| told(server).is_some();
        let server = machine.server("told that its BMC refuses", is_told).await.unwrap();
        let message = told(&server).unwrap();
        assert!(message.contains(SYSTEM), "{message}");
        assert!(message.contains("property Boot is read-only"), "{message}");
        assert!(message.contains("BootSourceOverrideMode"), "other forms were tried: {message}");
        let report = machine.report().unwrap();
        assert_eq!((report.power, report.counters.resets.total()), (Power::Off, 0));
    });
}
