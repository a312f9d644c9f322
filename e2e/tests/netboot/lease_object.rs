//! Leases as objects on the API server.

use crate::{inside::in_a_network_of_its_own, lab::Lab};
use anyhow::{Result, ensure};
use e2e::cluster::eventually;
use metal_api::DhcpLeaseState;
use std::{net::Ipv4Addr, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);
const ONE: &str = "02:00:00:00:00:01";
const OTHER: &str = "02:00:00:00:00:02";

#[test]
fn a_lease_has_an_object_until_it_ends_and_after_a_crash_the_lease_file_counts() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        let mut one = lab.near(ONE);
        let address = one.reboot().await.unwrap();
        has_objects(&lab, &[(address, ONE)]).await.unwrap();
        one.release().await.unwrap();
        has_objects(&lab, &[]).await.unwrap();
        drop(one);

        let address = lab.near(ONE).reboot().await.unwrap();
        has_objects(&lab, &[(address, ONE)]).await.unwrap();
        // While netboot is down, one object is lost, and another appears that has no lease.
        lab.kill_netboot().await;
        lab.cluster.kubectl(&["delete", "dhcplease", &address.to_string()]).await.unwrap();
        let nobodys = "apiVersion: bloomery.dev/v1alpha1\n\
                       kind: DHCPLease\n\
                       metadata: { name: 10.77.1.150 }\n\
                       spec: { ip: 10.77.1.150, client: '02:00:00:00:00:09', state: Bound, \
                       heldUntil: '2030-01-02T15:04:05Z' }\n";
        lab.cluster.apply(nobodys).await.unwrap();
        lab.start_again().await;
        has_objects(&lab, &[(address, ONE)]).await.unwrap();
        let other = lab.near(OTHER).reboot().await.unwrap();
        has_objects(&lab, &[(address, ONE), (other, OTHER)]).await.unwrap();
    });
}

/// Waits until exactly these objects exist.
async fn has_objects(lab: &Lab, wanted: &[(Ipv4Addr, &str)]) -> Result<()> {
    let mut wanted: Vec<_> =
        wanted.iter().map(|(ip, mac)| (ip.to_string(), (*mac).to_owned())).collect();
    wanted.sort();
    eventually(LIMIT, async || {
        let objects = lab.lease_objects().await?;
        let is_bound = objects.iter().all(|object| object.spec.state == DhcpLeaseState::Bound);
        let found = objects.into_iter().map(|object| (object.spec.ip, object.spec.client));
        let mut found: Vec<_> = found.collect();
        found.sort();
        ensure!(is_bound && found == wanted, "{found:?}, not {wanted:?}\n{}", lab.log()?);
        Ok(())
    })
    .await
}
