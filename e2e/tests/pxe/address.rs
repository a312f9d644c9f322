//! Which address a machine gets.

use crate::{
    inside::in_a_network_of_its_own,
    lab::{Lab, lease},
};
use std::{net::Ipv4Addr, time::Duration};

const NEAR: &str = "02:00:00:00:00:01";
const BEHIND: &str = "02:00:00:00:00:02";
const STRANGER: &str = "02:00:00:00:00:09";
const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn a_machine_on_the_link_gets_what_its_object_says_and_a_stranger_nothing() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await.unwrap();
        let metalman = lab.metalman("metalman", &["--dhcp-auto-interface"]).await.unwrap();
        let first = Ipv4Addr::new(10, 77, 1, 11);
        lab.create("node-01", vec![lease(NEAR, first)]).await.unwrap();
        let mut stranger = lab.near(STRANGER).unwrap();
        stranger.switch_on().await.unwrap();
        lab.says(&metalman, STRANGER).await.unwrap();
        assert!(!lab.leases(STRANGER).is_ok_and(|leases| leases.contains("fixed-address")));
        drop(stranger);

        let mut client = lab.near(NEAR).unwrap();
        assert_eq!(client.reboot().await.unwrap(), first);
        for option in [
            "option routers 10.77.1.1;",
            "option subnet-mask 255.255.255.0;",
            "option domain-name-servers 10.77.1.53;",
            "option dhcp-lease-time 86400;",
            "option dhcp-server-identifier 10.77.1.1;",
            "option host-name \"node-01\";",
        ] {
            client.notes(option).await.unwrap();
        }
        // It remembers the old address, and is told that it has it no more.
        let second = Ipv4Addr::new(10, 77, 1, 12);
        lab.change("node-01", &[lease(NEAR, second)]).await.unwrap();
        let moved = e2e::cluster::eventually(LIMIT, async || {
            let address = client.reboot().await?;
            anyhow::ensure!(address == second, "it has {address}");
            Ok(())
        });
        moved.await.unwrap();
        client.says("DHCPNAK").await.unwrap();
        metalman.terminate(LIMIT).await.unwrap();
    });
}

#[test]
fn machines_behind_a_relay_are_answered_without_an_interface() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await.unwrap();
        let metalman = lab.metalman("metalman", &[]).await.unwrap();
        let address = Ipv4Addr::new(10, 77, 2, 12);
        lab.create("node-02", vec![lease(BEHIND, address)]).await.unwrap();
        let _relay = lab.relay().unwrap();
        let mut client = lab.behind(BEHIND).unwrap();
        assert_eq!(client.reboot().await.unwrap(), address);
        client.notes("option dhcp-server-identifier 10.77.9.1;").await.unwrap();
        metalman.terminate(LIMIT).await.unwrap();
    });
}
