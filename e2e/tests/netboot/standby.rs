//! Two instances of netboot on the same links.

use crate::{inside::in_a_network_of_its_own, lab::Lab};
use anyhow::ensure;
use e2e::cluster::eventually;
use std::{collections::BTreeSet, time::Duration};

const LIMIT: Duration = Duration::from_mins(3);
const OLD: &str = "02:00:00:00:00:01";
const NEW: &str = "02:00:00:00:00:02";

#[test]
fn when_the_active_one_is_killed_the_other_one_keeps_its_leases_and_gives_new_addresses() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.start_two("standby").await.unwrap();
        let mut old = lab.near(OLD);
        let kept = old.reboot().await.unwrap();
        eventually(LIMIT, async || {
            let objects = lab.lease_objects().await?;
            ensure!(objects.len() == 1 && objects[0].spec.ip == kept.to_string(), "{objects:?}");
            Ok(())
        })
        .await
        .unwrap();
        assert!(!lab.other_log().unwrap().contains("Leads"), "there is one at a time");

        lab.kill_netboot().await;
        lab.until_the_other_leads().await.unwrap();
        assert_eq!(old.reboot().await.unwrap(), kept);
        drop(old);
        let other = lab.near(NEW).reboot().await.unwrap();
        assert_ne!(other, kept);
        // It is in the upper half of the range.
        assert!(other.octets()[3] >= 150, "{other}");
    });
}

#[test]
fn an_instance_that_is_stopped_gives_the_lease_up() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.start_two("standby").await.unwrap();
        let leader = lab.leader().await.unwrap();
        assert!(!leader.is_empty());
        lab.stop_netboot().await.unwrap();
        assert_ne!(lab.leader().await.unwrap(), leader);
        lab.until_the_other_leads().await.unwrap();
    });
}

#[test]
fn split_instances_both_answer_and_none_needs_the_other() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await;
        lab.start_two("split").await.unwrap();
        let first = lab.near(OLD).reboot().await.unwrap();
        lab.kill_netboot().await;
        let second = lab.near(NEW).reboot().await.unwrap();
        assert!(second.octets()[3] >= 150, "{second}");
        assert_eq!(BTreeSet::from([first, second]).len(), 2);
    });
}
