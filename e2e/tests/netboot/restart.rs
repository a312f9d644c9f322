//! `kill -9` of netboot at ten moments of the path.

use crate::{client::Client, inside::in_a_network_of_its_own, lab::Lab};
use anyhow::{Context, ensure};
use e2e::cluster::eventually;
use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);

/// When netboot is killed: as soon as this holds.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Discovered,
    Offered,
    Requested,
    WrittenDown,
    Acknowledged,
    Bound,
    Recorded,
    AskedAgain,
    Moved,
    RecordedAgain,
}

const MOMENTS: [Moment; 10] = [
    Moment::Discovered,
    Moment::Offered,
    Moment::Requested,
    Moment::WrittenDown,
    Moment::Acknowledged,
    Moment::Bound,
    Moment::Recorded,
    Moment::AskedAgain,
    Moment::Moved,
    Moment::RecordedAgain,
];

#[test]
fn a_netboot_killed_at_any_moment_leaves_one_endpoint_for_each_bmc_and_no_address_twice() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let mut addresses = BTreeSet::new();
        for (number, moment) in (10_u8..).zip(MOMENTS) {
            let mac = format!("02:bb:cc:00:00:{number:02x}");
            let mut bmc = lab.near(&mac);
            bmc.switch_on().await.unwrap();
            reached(&lab, &mut bmc, &mac, moment).await;
            lab.restart_netboot().await;
            let address = bmc.bound().await.unwrap();
            lab.endpoint(&mac, address).await;
            assert_eq!(bmc.reboot().await.unwrap(), address, "{moment:?}");
            lab.endpoint(&mac, address).await;
            assert!(addresses.insert(address), "{moment:?}: {address} was given out twice");
        }
        assert_eq!(lab.endpoints().await.unwrap().len(), MOMENTS.len());
    });
}

/// Waits for the moment.
async fn reached(lab: &Lab, bmc: &mut Client<'_>, mac: &str, moment: Moment) {
    match moment {
        Moment::Discovered => bmc.says("DHCPDISCOVER").await.unwrap(),
        Moment::Offered => bmc.says("DHCPOFFER").await.unwrap(),
        Moment::Requested => bmc.says("DHCPREQUEST").await.unwrap(),
        Moment::WrittenDown => is_written_down(lab, mac).await,
        Moment::Acknowledged => bmc.says("DHCPACK").await.unwrap(),
        Moment::Bound => drop(bmc.bound().await.unwrap()),
        Moment::Recorded => is_recorded(lab, bmc, mac).await,
        Moment::AskedAgain => {
            is_recorded(lab, bmc, mac).await;
            bmc.switch_on().await.unwrap();
            bmc.says("DHCPREQUEST").await.unwrap();
        }
        Moment::Moved => drop(moves(lab, bmc, mac, Ipv4Addr::new(10, 77, 1, 10)).await),
        Moment::RecordedAgain => {
            let address = moves(lab, bmc, mac, Ipv4Addr::new(10, 77, 1, 11)).await;
            lab.endpoint(mac, address).await;
        }
    }
}

async fn is_written_down(lab: &Lab, mac: &str) {
    eventually(LIMIT, async || {
        ensure!(lab.lease_file()?.contains(mac), "no lease of {mac}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn is_recorded(lab: &Lab, bmc: &mut Client<'_>, mac: &str) {
    let address = bmc.bound().await.unwrap();
    lab.endpoint(mac, address).await;
}

/// Changes the BMC's reserved address; returns the one it gets.
async fn moves(lab: &Lab, bmc: &mut Client<'_>, mac: &str, reserved: Ipv4Addr) -> Ipv4Addr {
    is_recorded(lab, bmc, mac).await;
    lab.configure(&format!("{{ mac: '{mac}', ip: {reserved} }}")).unwrap();
    // netboot has to see the change first.
    let moved = eventually(LIMIT, async || {
        let address = bmc.reboot().await?;
        ensure!(address == reserved, "it still has {address}");
        Ok(address)
    });
    moved.await.with_context(|| format!("{mac} to {reserved}")).unwrap()
}
