//! What an instance that was elected learns before it writes: everything that the other one has written. Its own
//! watch may be behind, or wait for an API server that went down together with the other instance. What the
//! watch reports later would count as changes by somebody else, and be undone: leases of the other instance
//! would be lost.

use super::LeasePublisher;
use crate::shared_leases::Role;
use jiff::Timestamp;
use kube::{Api, ResourceExt, api::ListParams, core::DeserializeGuard};
use metal_api::DhcpLease;
use metal_dhcp::lease::{
    Lease, State,
    object::{is_of_later, lease_of},
};
use metal_runtime::{is_behind, jittered, list_in_pages, report::Chain};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// How soon a list that failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);

impl LeasePublisher {
    /// Leads while this instance is elected, forever.
    pub(super) async fn lead_when_elected(&self) {
        let mut elected = self.is_elected.subscribe();
        loop {
            becomes(&mut elected, true).await;
            let has_caught_up = tokio::select! {
                biased;
                () = becomes(&mut elected, false) => false,
                () = self.catch_up() => true,
            };
            if has_caught_up {
                self.lead();
                becomes(&mut elected, false).await;
            }
        }
    }

    /// Checks every object.
    fn lead(&self) {
        if !*self.is_elected.borrow() || !self.published.stand(Role::Leads) {
            return;
        }
        tracing::info!(role = ?Role::Leads, "role of this instance changed");
        let objects = self.objects.all();
        let there = objects.iter().filter_map(|object| object.address());
        let all = there.chain(self.published.addresses());
        all.for_each(|address| self.published.queue().add(address));
    }

    /// The other instance answers from now on. It may renew each lease up to the time in its object without writing that,
    /// so none that runs ends here before. What was released or declined here stays so.
    pub(super) fn follow_other(&self) {
        let now = Timestamp::now();
        for theirs in self.objects.all().iter().filter_map(|object| lease_of(object)) {
            let Some(known) = self.published.lease(theirs.address) else { continue };
            let is_same = (&known.client, known.state) == (&theirs.client, theirs.state);
            if is_same && known.holds(now) && known.until < theirs.until {
                self.published.hear(Lease { until: theirs.until, ..known });
            }
        }
    }

    async fn catch_up(&self) {
        while let Err(error) = self.adopt_all().await {
            tracing::warn!(error = %Chain(&error), "DHCPLeases cannot be listed, and are not written yet");
            sleep(jittered(AGAIN)).await;
        }
    }

    /// Adopts all leases of the other instance as they are now, rather than as they were watched. Of an object that the
    /// watch has told, this instance knows as much, or more since.
    async fn adopt_all(&self) -> Result<(), kube::Error> {
        // What a restored backup lacks was not removed by the other instance: its client has the address still.
        let is_restored =
            Box::pin(is_behind(&self.api, &ListParams::default(), &self.objects)).await?;
        let watched = self.objects.all();
        let api = Api::<DeserializeGuard<DhcpLease>>::all(self.client.clone());
        let there = list_in_pages(&api).await?;
        let versions: HashMap<String, Option<String>> =
            there.iter().map(|object| (object.name_any(), object.resource_version())).collect();
        let unchanged = watched.iter().filter(|object| {
            let version = object.resource_version();
            version.is_some() && versions.get(&object.name_any()) == Some(&version)
        });
        let unchanged: HashSet<String> = unchanged.map(|object| object.name_any()).collect();
        let readable = there.iter().filter_map(|object| object.0.as_ref().ok());
        let news = readable.filter(|object| !unchanged.contains(&object.name_any()));
        for (object, lease) in news.filter_map(|object| Some((object, lease_of(object)?))) {
            if self.is_later(object, &lease) {
                self.published.hear(lease);
            }
        }
        let is_gone = |object: &&Arc<DhcpLease>| !versions.contains_key(&object.name_any());
        let gone = watched.iter().filter(|object| !is_restored && is_gone(object));
        for lease in gone.filter_map(|object| lease_of(object)) {
            // Otherwise it was renewed here since.
            if self.published.lease(lease.address).as_ref() == Some(&lease) {
                let until = Timestamp::now();
                self.published.hear(Lease { state: State::Released, until, ..lease });
            }
        }
        Ok(())
    }

    /// Whether the other instance knows more of an address than this one. The time in an object is long after the end of
    /// its lease, so it is compared with that of an object for the lease that is known.
    fn is_later(&self, object: &DhcpLease, theirs: &Lease<IpAddr>) -> bool {
        let known = self.published.lease(theirs.address);
        !self.is_another_clients(theirs)
            && known.is_none_or(|known| {
                (&known.client, known.state) != (&theirs.client, theirs.state)
                    || is_of_later(object, &known)
            })
    }
}

async fn becomes(receiver: &mut watch::Receiver<bool>, wanted: bool) {
    // The sender lives as long as the publisher.
    receiver.wait_for(|is| *is == wanted).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared_leases::SharedLeases;
    use metal_dhcp::{
        config::Config,
        lease::object::{Writing, writing},
    };
    use metal_runtime::testing::{ApiServer, list};
    use prometheus_client::metrics::family::Family;
    use std::net::Ipv4Addr;
    use tokio::time::timeout;

    const HOUR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

    /// The object for a lease that the other instance has given.
    fn object(last: u8) -> DhcpLease {
        let (client, until) = ("02:00:00:00:00:01".parse().unwrap(), Timestamp::now() + HOUR);
        let address = [10, 77, 0, last].into();
        let lease = Lease { address, client, state: State::Bound, until, binding: None };
        match writing(Some(&lease), None, None, Timestamp::now()) {
            Writing::Apply(object) => *object,
            other @ (Writing::Nothing | Writing::Remove) => panic!("{other:?}"),
        }
    }

    /// An instance in standby that has watched leases 1 and 2, and the API server, which has 1 and 3 by now.
    async fn behind() -> (ApiServer, LeasePublisher) {
        let text = "interfaces: [eth1]\nsubnets: []\ninstances: { mode: standby, part: 1 }\n";
        let config = Arc::new(Config::parse(text).unwrap());
        let (server, shared) = (ApiServer::default(), SharedLeases::new(config.instances));
        let config = watch::Sender::new(config).subscribe();
        let publisher =
            LeasePublisher::new(server.client("default"), shared, config, Family::default());
        let [first, second, third] = [1, 2, 3].map(object);
        for watched in [&first, &second] {
            publisher.published.hear(lease_of(watched).unwrap());
        }
        assert_eq!(publisher.published.heard::<Ipv4Addr>().len(), 2);
        server.put(&first);
        server.put(&third);
        list(&publisher.objects, [first, second]).await;
        (server, publisher)
    }

    #[tokio::test]
    async fn what_the_other_instance_wrote_last_is_adopted_and_what_it_removed_is_released() {
        let (_server, publisher) = behind().await;
        publisher.adopt_all().await.unwrap();
        let state = |last: u8| {
            let lease = publisher.published.lease([10, 77, 0, last].into());
            lease.map(|lease| lease.state)
        };
        let states = [State::Bound, State::Released, State::Bound];
        assert_eq!([1, 2, 3].map(state), states.map(Some));
        let heard = publisher.published.heard::<Ipv4Addr>();
        assert_eq!(heard.len(), 2, "the servers adopt what is new, and that alone: {heard:?}");
    }

    #[tokio::test]
    async fn what_a_restored_backup_lacks_is_not_released() {
        let (_server, publisher) = behind().await;
        let address = IpAddr::from([10, 77, 0, 2]);
        let watched = publisher.objects.named(None, &DhcpLease::name_of(address)).unwrap();
        let mut watched = DhcpLease::clone(&watched);
        watched.metadata.resource_version = Some("1000".to_owned());
        list(&publisher.objects, [watched]).await;
        publisher.adopt_all().await.unwrap();
        assert_eq!(publisher.published.lease(address).unwrap().state, State::Bound);
    }

    #[tokio::test]
    async fn what_ended_or_was_renewed_here_is_not_as_in_an_object_from_before() {
        let (server, publisher) = behind().await;
        let (mut watched, mut known) = (vec![], vec![]);
        for (last, state, seen) in [
            (11, State::Bound, "11"),
            (12, State::Released, "12"),
            (13, State::Declined, "13"),
            // Our own write, which the watch has not told yet.
            (14, State::Bound, "9"),
        ] {
            let mut object = object(last);
            let until = Timestamp::now() + HOUR;
            known.push(Lease { state, until, ..lease_of(&object).unwrap() });
            object.metadata.resource_version = Some(last.to_string());
            server.put(&object);
            object.metadata.resource_version = Some(seen.to_owned());
            watched.push(object);
        }
        list(&publisher.objects, watched).await;
        publisher.published.note(&known);
        publisher.adopt_all().await.unwrap();
        for lease in known {
            assert_eq!(publisher.published.lease(lease.address), Some(lease));
        }
    }

    #[tokio::test]
    async fn a_lease_that_the_other_instance_may_renew_unseen_does_not_end_here_before() {
        let (_server, publisher) = behind().await;
        publisher.published.stand(Role::Leads);
        let theirs = [1, 2].map(|last| lease_of(&object(last)).unwrap());
        let until = Timestamp::now() + HOUR;
        let [bound, other] = theirs.map(|lease| Lease { until, ..lease });
        let released = Lease { state: State::Released, ..other };
        publisher.published.note(&[bound.clone(), released.clone()]);
        publisher.stand(Role::Waits);
        let held = publisher.published.lease(bound.address).unwrap();
        assert!(held.until > until + HOUR, "{held:?}");
        assert_eq!(Lease { until, ..held }, bound);
        assert_eq!(publisher.published.lease(released.address), Some(released));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_elected_answers_at_once_and_writes_once_it_knows_what_there_is() {
        let (server, publisher) = behind().await;
        let wait = || timeout(AGAIN * 2, publisher.lead_when_elected());
        server.fail(Some(http::StatusCode::INTERNAL_SERVER_ERROR));
        publisher.stand(Role::Leads);
        assert!(wait().await.is_err());
        assert_eq!(publisher.published.role(), Role::Answers);
        publisher.stand(Role::Waits);
        server.fail(None);
        assert!(wait().await.is_err());
        assert_eq!(publisher.published.role(), Role::Waits, "it is not elected any longer");
        publisher.stand(Role::Leads);
        assert!(wait().await.is_err());
        assert_eq!(publisher.published.role(), Role::Leads);
        assert_eq!(publisher.published.queue().len(), 3);
        publisher.stand(Role::Leads);
        assert_eq!(publisher.published.role(), Role::Leads, "it goes on");
    }
}
