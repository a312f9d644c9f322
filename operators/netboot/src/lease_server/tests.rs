use super::*;
use crate::{
    recorder::{Sightings, bmcs, endpoints},
    v4::tests::{BMC, CONFIG, offer, parts},
};
use metal_api::{Endpoint, EndpointSpec};
use metal_runtime::testing::list;
use std::net::Ipv4Addr;
use tokio::sync::watch;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// A server with a lease of a BMC, and whom it tells.
async fn server(
    configs: &watch::Sender<Arc<Config>>,
    there: Vec<Endpoint>,
) -> (LeaseServer<Ipv4Addr>, Sightings) {
    let recorded = RecordedBmcs { endpoints: Arc::new(endpoints()), bmcs: Arc::new(bmcs()) };
    list(&recorded.endpoints, there).await;
    list(&recorded.bmcs, vec![]).await;
    let sightings = Sightings::default();
    let parts = parts(configs, &sightings, None);
    let mut server = LeaseServer::new(ServerParts { recorded: Some(recorded), ..parts });
    server.record(vec![Lease { state: State::Bound, ..offer(BMC, ADDRESS) }]);
    (server, sightings)
}

fn config(text: &str) -> Arc<Config> {
    Arc::new(Config::parse(text).unwrap())
}

#[tokio::test]
async fn the_bmcs_of_a_subnet_that_is_marked_for_them_later_are_told_then() {
    let tenants = format!("{CONFIG}  - {{ subnet: 10.78.0.0/24 }}\n");
    let configs = watch::Sender::new(config(&tenants));
    let (mut server, sightings) = server(&configs, vec![]).await;
    server.recall_bmcs();
    assert_eq!(sightings.len(), 0, "it is not known where BMCs are");
    let marked = tenants.replace("    ranges", "    bmc: true\n    ranges");
    configs.send_replace(config(&marked));
    let changed = server.new_config().expect("it has changed");
    server.adopt(changed);
    assert_eq!(sightings.len(), 1);
}

#[tokio::test]
async fn a_bmc_whose_endpoint_was_removed_is_told_again_before_it_renews() {
    let configs = watch::Sender::new(config(CONFIG));
    // A person has moved the BMC, and its lease is not over yet.
    let (mac_address, ip) = (Some(BMC.to_string()), Some("10.77.0.9".to_owned()));
    let moved = Endpoint::new("moved", EndpointSpec { mac_address, ip });
    for (there, told) in [(vec![], 1), (vec![moved], 0)] {
        let (mut server, sightings) = server(&configs, there).await;
        for _ in 0..RECALL_EVERY {
            assert_eq!(sightings.len(), 0);
            server.maintain().await;
        }
        assert_eq!(sightings.len(), told);
    }
}

#[tokio::test]
async fn an_address_that_its_client_finds_in_use_is_in_the_log() {
    let configs = watch::Sender::new(config(CONFIG));
    let (mut server, _) = server(&configs, vec![]).await;
    let declined = offer(BMC, ADDRESS).declined(Timestamp::now());
    let event = (ADDRESS, declined.until);
    assert!(server.record(vec![declined]));
    assert!(!server.declined.is_due(event), "it was logged, once");
}

#[tokio::test]
async fn an_address_recorded_for_a_bmc_is_kept_as_soon_as_its_subnet_is_marked() {
    let marked = config(&CONFIG.replace("    ranges", "    bmc: true\n    ranges"));
    let configs = watch::Sender::new(config(CONFIG));
    let (mac_address, ip) = (Some(BMC.to_string()), Some("10.77.0.150".to_owned()));
    let there = Endpoint::new("there", EndpointSpec { mac_address, ip });
    let (mut server, _) = server(&configs, vec![there]).await;
    let kept =
        |server: &LeaseServer<Ipv4Addr>| server.lease_store.leases.count(Timestamp::now()).kept;
    server.maintain().await;
    assert_eq!(kept(&server), 0);
    server.lease_store.leases.reconfigure(&marked, Timestamp::now());
    server.adopt(marked);
    server.maintain().await;
    assert_eq!(kept(&server), 1);
}
