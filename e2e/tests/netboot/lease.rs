//! The life of leases.

use crate::{inside::in_a_network_of_its_own, lab::Lab};
use anyhow::ensure;
use e2e::cluster::eventually;
use std::{net::Ipv4Addr, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);
/// A BMC's MAC address.
const BMC: &str = "02:bb:cc:00:00:0a";
const OTHER_BMC: &str = "02:bb:cc:00:00:0b";
/// The MAC address of a machine, which is not in the MAC prefix database.
const HOST: &str = "02:00:00:00:00:0a";

fn is_in(address: Ipv4Addr, subnet: [u8; 3]) -> bool {
    address.octets()[..3] == subnet && (100..200).contains(&address.octets()[3])
}

#[test]
fn bmcs_with_a_lease_become_endpoints_also_behind_a_relay_and_nobody_else_does() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let host = lab.near(HOST).reboot().await.unwrap();
        assert!(is_in(host, [10, 77, 1]), "{host}");
        let bmc = lab.near(BMC).reboot().await.unwrap();
        assert!(is_in(bmc, [10, 77, 1]) && bmc != host, "{bmc}");
        lab.endpoint(BMC, bmc).await;

        let _relay = lab.relay();
        let other = lab.behind(OTHER_BMC).reboot().await.unwrap();
        assert!(is_in(other, [10, 77, 2]), "{other}");
        lab.endpoint(OTHER_BMC, other).await;
        assert_eq!(lab.endpoints().await.unwrap().len(), 2, "there is none of the host");
    });
}

#[test]
fn a_bmc_that_gets_another_address_takes_its_endpoint_along() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let mut bmc = lab.near(BMC);
        let before = lab.endpoint(BMC, bmc.reboot().await.unwrap()).await;
        let reserved = Ipv4Addr::new(10, 77, 1, 10);
        lab.configure(&format!("{{ mac: '{BMC}', ip: {reserved} }}")).unwrap();
        // netboot has to see the change first.
        eventually(LIMIT, async || {
            let address = bmc.reboot().await?;
            ensure!(address == reserved, "it still has {address}");
            Ok(())
        })
        .await
        .unwrap();
        let after = lab.endpoint(BMC, reserved).await;
        assert_eq!(after.uid, before.uid);
        assert_eq!(lab.endpoints().await.unwrap().len(), 1);
    });
}

#[test]
fn no_lease_waits_for_the_api_server_and_no_endpoint_is_forgotten() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let outage = lab.cluster.outage().await.unwrap();
        let bmc = lab.near(BMC).reboot().await.unwrap();
        // An instance that never reached the API server knows its leases, too.
        lab.restart_netboot().await;
        assert_eq!(lab.near(BMC).reset().await.unwrap(), bmc);
        let other = lab.near(OTHER_BMC).reboot().await.unwrap();
        assert_ne!(bmc, other);
        outage.end().await.unwrap();
        lab.endpoint(BMC, bmc).await;
        lab.endpoint(OTHER_BMC, other).await;
    });
}

#[test]
fn a_netboot_that_was_killed_gives_out_the_same_leases_and_leaves_endpoints_as_they_are() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let address = lab.near(BMC).reboot().await.unwrap();
        let before = lab.endpoint(BMC, address).await;
        lab.restart_netboot().await;
        assert_eq!(lab.near(BMC).reset().await.unwrap(), address);
        assert_eq!(lab.endpoint(BMC, address).await, before);
        assert_ne!(lab.near(OTHER_BMC).reboot().await.unwrap(), address);
    });
}
