//! A machine that is no Server boots a URL of its own.

use crate::{inside::in_a_network_of_its_own, lab::Lab};
use anyhow::{Result, ensure};
use e2e::cluster::eventually;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(3);
const MAC: &str = "02:00:00:00:00:01";
const OTHER: &str = "02:00:00:00:00:02";
const URL: &str = "https://hosts.example.org/api/ipxe/metal_ipxe_AAAABBBB";

#[test]
fn one_machine_boots_the_url_of_its_secret_until_another_object_contradicts_it() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::with_boot_urls(tools).await;
        lab.give_url("web-1", MAC, URL).await.unwrap();
        lab.give_url("broken", OTHER, "gopher://metal_ipxe_AAAABBBB").await.unwrap();
        told(&lab, MAC, true).await.unwrap();
        told(&lab, OTHER, false).await.unwrap();

        lab.give_url("twin", MAC, URL).await.unwrap();
        told(&lab, MAC, false).await.unwrap();
        for (name, reason) in [
            ("web-1", "AmbiguousIdentity"),
            ("twin", "AmbiguousIdentity"),
            ("broken", "UnusableBootURL: data.url: "),
        ] {
            has_event(&lab, "Secret", name, reason).await.unwrap();
        }
        lab.take_url("twin").await.unwrap();
        told(&lab, MAC, true).await.unwrap();

        let machine = format!(
            "apiVersion: unbounded-cloud.io/v1alpha3\n\
             kind: Machine\n\
             metadata: {{ name: node-1 }}\n\
             spec:\n  pxe:\n    image: registry.example/a:1\n    \
             dhcpLeases: [{{ ipv4: 10.77.1.50, mac: '{MAC}', subnetMask: 255.255.255.0, gateway: '' }}]\n"
        );
        lab.cluster.apply(&machine).await.unwrap();
        told(&lab, MAC, false).await.unwrap();
        has_event(&lab, "Machine", "node-1", "AmbiguousIdentity").await.unwrap();
        assert!(!lab.log().unwrap().contains("metal_ipxe"), "{}", lab.log().unwrap());
    });
}

/// Waits until a machine that runs iPXE gets the URL, or no longer gets it.
async fn told(lab: &Lab, mac: &str, is_told: bool) -> Result<()> {
    let mut machine = lab.near(mac).boots_by_ipxe()?;
    eventually(LIMIT, async || {
        machine.reset().await?;
        // The last line of a lease: what it lacks then was not told.
        machine.notes("  expire ").await?;
        let leases = machine.leases()?;
        ensure!(leases.contains(URL) == is_told, "{mac}: {leases}");
        Ok(())
    })
    .await
}

async fn has_event(lab: &Lab, kind: &str, name: &str, reason: &str) -> Result<()> {
    eventually(LIMIT, async || {
        let events = lab.events_of(kind, name).await?;
        ensure!(events.contains(reason) && !events.contains("metal_ipxe"), "{name}: {events}");
        Ok(())
    })
    .await
}
