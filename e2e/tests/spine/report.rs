//! Reports that are not the machine's own.

use crate::shared::{PXE, machine, on_stack};
use e2e::stack::{NAMESPACE, Stack, until};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_api::{
    BootState, ServerBootConfiguration, ServerInventory, ServerState,
    inventory::{NetworkInterface, Registration, Report},
};
use metal_simulator::{Action, Fault};
use reqwest::{Client, Method, StatusCode};

#[test]
fn a_report_that_is_foreign_malformed_oversized_or_replayed_is_refused_and_changes_nothing() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        // Keeps the host from starting before everything was tried.
        let boot = Fault::new("/redfish/v1/Systems/", Action::Status(503));
        let fault = boot.on(&Method::PATCH).only(machine.index());
        let fault = machine.simulator().fault(fault).unwrap();
        machine.plug_in().await.unwrap();
        let url = registry_url_of(stack, &machine.server_name()).await;
        let uuid = machine.report().unwrap().uuid.to_string();
        let foreign = "00000000-0000-4000-8000-000000000001";
        let tokenless = url.split("/t/").next().unwrap().to_owned();
        let cases = [
            ("foreign", &url, report(foreign), StatusCode::FORBIDDEN),
            ("malformed", &url, "{\"SystemUUID\":".to_owned(), StatusCode::BAD_REQUEST),
            ("no UUID", &url, report("x"), StatusCode::BAD_REQUEST),
            ("oversized", &url, " ".repeat(5 << 20), StatusCode::PAYLOAD_TOO_LARGE),
            ("tokenless", &tokenless, report(&uuid), StatusCode::UNAUTHORIZED),
            ("forged", &format!("{tokenless}/t/e30.AAAA"), report(&uuid), StatusCode::FORBIDDEN),
        ];
        for (what, url, body, status) in cases {
            assert_eq!(post(url, &body).await, status, "{what}");
        }
        let inventories = Api::<ServerInventory>::all(stack.client.clone());
        assert!(inventories.get_opt(&machine.server_name()).await.unwrap().is_none());

        machine.simulator().clear_faults(Some(fault));
        machine.enters(ServerState::Available).await.unwrap();
        let kept = inventories.get(&machine.server_name()).await.unwrap();
        assert_eq!(post(&url, &report(&uuid)).await, StatusCode::CONFLICT, "replayed");
        let now = inventories.get(&machine.server_name()).await.unwrap();
        assert_eq!(now.spec, kept.spec);
    });
}

fn report(uuid: &str) -> String {
    let interface = NetworkInterface {
        name: "eth0".to_owned(),
        mac_address: "02:00:00:00:00:01".to_owned(),
        ..NetworkInterface::default()
    };
    let data = Report { network_interfaces: vec![interface], ..Report::default() };
    serde_json::to_string(&Registration { system_uuid: uuid.to_owned(), data }).unwrap()
}

/// Posts a report as the agent does.
pub(crate) async fn post(url: &str, body: &str) -> StatusCode {
    let client = Client::builder().no_proxy().build().unwrap();
    let post = client.post(format!("{url}/register")).header("content-type", "application/json");
    post.body(body.to_owned()).send().await.unwrap().status()
}

/// Where this server's agent is to send its report, once its boot configuration is Ready.
pub(crate) async fn registry_url_of(stack: &Stack, server: &str) -> String {
    let client = stack.client.clone();
    let configurations = Api::<ServerBootConfiguration>::namespaced(client.clone(), NAMESPACE);
    let ready = |it: &ServerBootConfiguration| {
        it.status.as_ref().and_then(|status| status.state.as_ref()) == Some(&BootState::Ready)
    };
    until(&configurations, server, "Ready", ready).await.unwrap();
    let secrets = Api::<Secret>::namespaced(client, NAMESPACE);
    let data = secrets.get(server).await.unwrap().data.unwrap_or_default();
    let ignition = String::from_utf8(data["ignition"].0.clone()).unwrap();
    let (_, rest) = ignition.split_once("--registry-url=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}
