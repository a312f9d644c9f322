//! Machines with UEFI.

use crate::{
    bmc::Bmc,
    inside::{in_a_network_of_its_own, with_discovery_image},
    lab::Lab,
    network::{ADDRESS, bridge, netboot, on_the_link},
    path::Path,
    site::Site,
};
use axum::{
    Router,
    http::{StatusCode, Uri},
};
use metal_simulator::Vm;
use serde_json::json;
use std::time::Duration;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

/// How long firmware may take to ask for a file: without KVM, on a busy machine.
const LIMIT: Duration = Duration::from_mins(10);

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_uefi_pxe_loads_ipxe_by_tftp_and_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiPxe, Site::Link).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_behind_a_relay_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiPxe, Site::Relay).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_that_gets_its_address_from_a_foreign_dhcp_server_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiPxe, Site::Foreign).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_uefi_http_boot_over_ipv6_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiHttp, Site::LinkV6).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_uefi_pxe_over_ipv6_loads_ipxe_by_tftp_and_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiPxe, Site::LinkV6).await.machine_becomes_available().await;
    });
}

#[test]
fn a_machine_with_uefi_http_boot_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiHttp, Site::Link).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_newer_uefi_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::NewerUefiHttp, Site::Link).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_a_medium_in_its_virtual_drive_becomes_available_without_it() {
    with_discovery_image(async || {
        let lab = Lab::start(Path::VirtualMedia, Site::Link).await;
        lab.machine_becomes_available().await;
        lab.medium_was_ejected();
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn an_http_boot_uri_comes_before_what_dhcp_says() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        bridge().unwrap();
        let listener = TcpListener::bind((ADDRESS, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, mut was_asked) = mpsc::unbounded_channel();
        // The first request is all that matters.
        let nothing = async move |uri: Uri| {
            asked.send(uri.path().to_owned()).ok(); // The test may have seen enough.
            StatusCode::NOT_FOUND
        };
        let server = axum::serve(listener, Router::new().fallback(nothing)).into_future();
        let config = on_the_link(&format!("http: '{url}/from-dhcp.efi'"));
        let _netboot = netboot(folder.path(), &config).await.unwrap();
        let bmc = Bmc::start(Vm::new(folder.path().join("0"), "tap0")).await.unwrap();
        bmc.patch(&json!({
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "UefiHttp",
            "HttpBootUri": format!("{url}/from-bmc.efi"),
        }))
        .await
        .unwrap();
        bmc.reset("On").await.unwrap();
        tokio::select! {
            ended = server => panic!("{ended:?}"),
            first = timeout(LIMIT, was_asked.recv()) => {
                assert_eq!(first.unwrap().unwrap(), "/from-bmc.efi");
            }
        }
    });
}
