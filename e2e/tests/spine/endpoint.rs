//! Endpoints and BMCs with errors, which do not affect others.

use crate::shared::{PXE, denied, machine, on_stack};
use e2e::{cluster::unique, stack::until};
use k8s_openapi::ByteString;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{Bmc, BmcSecret, BmcSecretSpec, Endpoint, EndpointSpec, ServerState, condition};
use metal_simulator::{Action, Fault};
use serde_json::json;

#[test]
fn two_endpoints_with_one_mac_are_told_so_and_the_one_that_stays_becomes_a_server() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        let endpoints = Api::<Endpoint>::all(stack.client.clone());
        let mut twin = machine.endpoint().unwrap();
        let name = unique("twin");
        twin.metadata.name = Some(name.clone());
        // The same address, spelled differently.
        twin.spec.mac_address = twin.spec.mac_address.map(|mac| mac.to_uppercase());
        endpoints.create(&PostParams::default(), &twin).await.unwrap();
        // The first of the two may have its BMC by then: that is the twin, which is then deleted.
        machine.plug_in().await.unwrap();
        for (one, other) in [(machine.name(), name.clone()), (name.clone(), machine.name())] {
            let told = refused(&endpoints, &one).await;
            assert_eq!(told.0, "Ambiguous", "{told:?}");
            assert!(told.1.contains("spec.macAddress") && told.1.contains(&other), "{told:?}");
        }
        endpoints.delete(&name, &DeleteParams::default()).await.unwrap();
        machine.bmc("made", |_| true).await.unwrap();
    });
}

#[test]
fn an_endpoint_with_an_unknown_prefix_becomes_no_bmc_and_says_why() {
    on_stack(async |stack| {
        let endpoints = Api::<Endpoint>::all(stack.client.clone());
        let cases = [
            (Some("0a:00:00:00:00:01"), Some("192.0.2.1"), "UnknownPrefix", "0a:00:00:00:00:01"),
            (Some("not a mac"), Some("192.0.2.1"), "InvalidMACAddress", "spec.macAddress"),
            (Some("23:11:01:ff:ff:ff"), Some("here"), "InvalidIP", "spec.ip"),
            (None, None, "InvalidMACAddress", "spec.macAddress"),
        ];
        for (mac_address, ip, reason, field) in cases {
            let name = unique("stray");
            let spec = EndpointSpec {
                mac_address: mac_address.map(str::to_owned),
                ip: ip.map(str::to_owned),
            };
            let endpoint = Endpoint::new(&name, spec);
            endpoints.create(&PostParams::default(), &endpoint).await.unwrap();
            let told = refused(&endpoints, &name).await;
            assert_eq!(told.0, reason, "{told:?}");
            assert!(told.1.contains(field), "{told:?}");
            let bmcs = Api::<Bmc>::all(stack.client.clone());
            assert!(bmcs.get_opt(&name).await.unwrap().is_none());
        }
    });
}

#[test]
fn a_wrong_password_is_tried_once_and_again_when_it_is_corrected() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        let secrets = Api::<BmcSecret>::all(stack.client.clone());
        let wrong = BmcSecret::new(&machine.name(), credentials("foo", "wrong"));
        secrets.create(&PostParams::default(), &wrong).await.unwrap();
        machine.plug_in().await.unwrap();
        let told = |bmc: &Bmc| not_ready(bmc).is_some_and(|told| told.0 == "AuthenticationFailed");
        let bmc = machine.bmc("refused", told).await.unwrap();
        let (_, message) = not_ready(&bmc).unwrap();
        assert!(message.contains("BMCSecret") && message.contains(&machine.name()), "{message}");
        assert!(!message.contains("wrong"), "the password is shown: {message}");
        let refused = machine.report().unwrap().counters.refused;
        // A session, then basic authentication: more attempts could lock the account.
        assert!((1..=2).contains(&refused), "{refused} tries");

        let right = json!({ "data": credentials("foo", "bar").data });
        let name = machine.name();
        secrets.patch(&name, &PatchParams::default(), &Patch::Merge(right)).await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        assert_eq!(machine.report().unwrap().counters.refused, refused);
    });
}

#[test]
fn an_unreachable_bmc_is_told_and_taken_up_when_it_answers_and_others_go_on() {
    on_stack(async |stack| {
        let (dead, alive) = (machine(stack, PXE), machine(stack, PXE));
        dead.simulator().unplug(dead.index()).unwrap();
        dead.plug_in().await.unwrap();
        let bmc = dead.bmc("unreachable", |bmc| not_ready(bmc).is_some()).await.unwrap();
        assert_eq!(not_ready(&bmc).unwrap().0, "ConnectionFailed");
        alive.plug_in().await.unwrap();
        alive.enters(ServerState::Available).await.unwrap();
        dead.simulator().plug(dead.index()).unwrap();
        dead.enters(ServerState::Available).await.unwrap();
    });
}

#[test]
fn a_system_without_uuid_becomes_no_server_and_the_bmc_says_so() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        let action = Action::Fields { remove: vec!["/UUID".to_owned()], set: [].into() };
        let fault = Fault::new("/redfish/v1/Systems/[^/]+$", action).only(machine.index());
        machine.simulator().fault(fault).unwrap();
        machine.plug_in().await.unwrap();
        let left_out = |bmc: &Bmc| {
            let conditions = &bmc.status.as_ref()?.conditions;
            denied(conditions, condition::SYSTEMS_KNOWN).map(|(_, message)| message.to_owned())
        };
        let bmc = machine.bmc("without systems", |bmc| left_out(bmc).is_some()).await.unwrap();
        let message = left_out(&bmc).unwrap();
        assert!(message.contains("/redfish/v1/Systems/") && message.contains("UUID"), "{message}");
    });
}

#[test]
fn garbage_in_one_part_costs_that_part_and_not_the_server() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        let part = "/redfish/v1/Systems/[^/]+/(Processors|Storage)";
        let fault = Fault::new(part, Action::Garbage).only(machine.index());
        machine.simulator().fault(fault).unwrap();
        machine.plug_in().await.unwrap();
        let server = machine.enters(ServerState::Available).await.unwrap();
        let status = server.status.unwrap_or_default();
        let (reason, message) = denied(&status.conditions, condition::INVENTORY_COMPLETE).unwrap();
        assert_eq!(reason, "PartsMissing");
        assert!(message.contains("rocessors") && message.contains("torage"), "{message}");
    });
}

fn credentials(username: &str, password: &str) -> BmcSecretSpec {
    let value = |text: &str| ByteString(text.into());
    let data = [
        (BmcSecretSpec::USERNAME.to_owned(), value(username)),
        (BmcSecretSpec::PASSWORD.to_owned(), value(password)),
    ];
    BmcSecretSpec { data: Some(data.into()), ..BmcSecretSpec::default() }
}

fn not_ready(bmc: &Bmc) -> Option<(&str, &str)> {
    denied(&bmc.status.as_ref()?.conditions, condition::READY)
}

/// Reason and message with which an Endpoint is refused.
async fn refused(endpoints: &Api<Endpoint>, name: &str) -> (String, String) {
    let why = |endpoint: &Endpoint| {
        let conditions = &endpoint.status.as_ref()?.conditions;
        let (reason, message) = denied(conditions, condition::RECOGNIZED)?;
        Some((reason.to_owned(), message.to_owned()))
    };
    let endpoint = until(endpoints, name, "refused", |it| why(it).is_some()).await.unwrap();
    why(&endpoint).unwrap()
}
