//! The leases as they are to be published in the API server, and what the other instance has
//! published there.
//!
//! The servers add every lease here once it is recorded, which costs them no more than a look-up;
//! [`crate::lease_publisher`] writes the objects asynchronously. A standby instance gets from here what
//! the active one has written.

use metal_api::MacAddr;
use metal_base::Locked;
use metal_dhcp::{
    Address, Client, Instances, Sharing,
    config::Config,
    lease::{Lease, State},
};
use metal_runtime::queue::Queue;
use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard},
};

/// The role of this instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Standby: the other instance answers.
    Waits,
    /// It answers, because it is not known whether another one does, or not yet what that has written.
    Answers,
    /// It answers, and writes objects.
    Leads,
}

/// IP versions, each with its own leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The version of an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// An IP address of one version, as used for leases.
pub(crate) trait LeaseAddress: Address + Display + FromStr + Into<IpAddr> {
    /// Its version.
    const FAMILY: Family;
    /// The address, if it is of this version.
    fn of(address: IpAddr) -> Option<Self>;
    /// Whether it is in a subnet of BMCs.
    fn has_bmcs(self, config: &Config) -> bool;
    /// The client that it is reserved for.
    fn reserved_for(self, config: &Config) -> Option<MacAddr>;
    /// Whether an address of this version is reserved for a client.
    fn is_reserved_for(client: &Client, config: &Config) -> bool;
}

impl LeaseAddress for Ipv4Addr {
    const FAMILY: Family = Family::V4;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    fn has_bmcs(self, config: &Config) -> bool {
        config.subnet_of(self).is_some_and(|subnet| subnet.bmc)
    }

    fn reserved_for(self, config: &Config) -> Option<MacAddr> {
        config.subnet_of(self)?.reserved.get(&self).copied()
    }

    fn is_reserved_for(client: &Client, config: &Config) -> bool {
        config.has_reserved(client)
    }
}

impl LeaseAddress for Ipv6Addr {
    const FAMILY: Family = Family::V6;

    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        }
    }

    fn has_bmcs(self, config: &Config) -> bool {
        let subnet = config.dhcp6.as_ref().and_then(|dhcp6| dhcp6.subnet_of(self));
        subnet.is_some_and(|subnet| subnet.bmc)
    }

    fn reserved_for(self, config: &Config) -> Option<MacAddr> {
        config.dhcp6.as_ref()?.subnet_of(self)?.reserved.get(&self).copied()
    }

    fn is_reserved_for(client: &Client, config: &Config) -> bool {
        config.dhcp6.as_ref().is_some_and(|dhcp6| dhcp6.has_reserved(client))
    }
}

/// All leases by address. Cheap to clone; clones share their state.
///
/// Bounded like the leases: at most one per address of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct SharedLeases(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<Known>,
    queue: Queue<IpAddr>,
}

#[derive(Debug)]
struct Known {
    /// Whether there is another instance.
    is_shared: bool,
    role: Role,
    /// IP versions whose leases have all been added.
    complete: HashSet<Family>,
    leases: HashMap<IpAddr, Lease<IpAddr>>,
    /// What the other instance wrote and our servers have not adopted yet.
    heard: HashMap<IpAddr, Lease<IpAddr>>,
}

impl SharedLeases {
    /// Without leases. If there may be another active instance, this one starts in standby.
    pub(crate) fn new(instances: Option<Instances>) -> Self {
        let waits = instances.is_some_and(|it| it.mode == Sharing::Standby);
        let role = if waits { Role::Waits } else { Role::Leads };
        let (complete, leases, heard) = Default::default();
        let is_shared = instances.is_some();
        let state = Mutex::new(Known { is_shared, role, complete, leases, heard });
        Self(Arc::new(Shared { state, queue: Queue::default() }))
    }

    /// Adds leases that have been recorded.
    pub(crate) fn note<'a, A: Copy + Into<IpAddr> + 'a>(
        &self,
        leases: impl IntoIterator<Item = &'a Lease<A>>,
    ) {
        let mut known = self.lock();
        let mut changed = Vec::new();
        for lease in leases {
            let address = lease.address.into();
            known.leases.insert(address, lease.at(address));
            changed.push(address);
        }
        if known.role == Role::Leads {
            drop(known);
            for address in changed {
                self.0.queue.add(address);
            }
        }
    }

    /// All leases of this IP version have been added.
    pub(crate) fn complete(&self, family: Family) {
        self.lock().complete.insert(family);
    }

    /// Whether all leases of this IP version have been added.
    pub(crate) fn is_complete(&self, family: Family) -> bool {
        self.lock().complete.contains(&family)
    }

    /// Whether packets are answered.
    pub(crate) fn answers(&self) -> bool {
        self.role() != Role::Waits
    }

    /// Whether there is another instance.
    pub(crate) fn is_shared(&self) -> bool {
        self.lock().is_shared
    }

    /// The role of this instance.
    pub(crate) fn role(&self) -> Role {
        self.lock().role
    }

    /// Sets the role of this instance; returns whether it has changed.
    pub(crate) fn stand(&self, role: Role) -> bool {
        std::mem::replace(&mut self.lock().role, role) != role
    }

    /// Answers from now on if it has waited; returns whether it had. An instance that leads, or answers already, goes on.
    pub(crate) fn answer_at_least(&self) -> bool {
        let mut known = self.lock();
        let has_waited = known.role == Role::Waits;
        if has_waited {
            known.role = Role::Answers;
        }
        has_waited
    }

    /// The lease of an address.
    pub(crate) fn lease(&self, address: IpAddr) -> Option<Lease<IpAddr>> {
        self.lock().leases.get(&address).cloned()
    }

    /// Forgets the lease of an address, which needs no object any longer, unless it has changed
    /// since.
    pub(crate) fn forget(&self, lease: &Lease<IpAddr>) {
        let mut known = self.lock();
        if known.leases.get(&lease.address) == Some(lease) {
            known.leases.remove(&lease.address);
        }
    }

    /// Stores a lease that the other instance has written.
    pub(crate) fn hear(&self, lease: Lease<IpAddr>) {
        let mut known = self.lock();
        known.leases.insert(lease.address, lease.clone());
        known.heard.insert(lease.address, lease);
    }

    /// Leases of one IP version that were stored by `hear` since the last call.
    pub(crate) fn heard<A: LeaseAddress>(&self) -> Vec<Lease<A>> {
        let mut leases = Vec::new();
        self.lock().heard.retain(|&address, lease| match A::of(address) {
            Some(address) => {
                leases.push(lease.at(address));
                false
            }
            None => true,
        });
        leases
    }

    /// All addresses with a lease.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        self.lock().leases.keys().copied().collect()
    }

    /// Addresses whose objects may have to change.
    pub(crate) fn queue(&self) -> &Queue<IpAddr> {
        &self.0.queue
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.state.locked()
    }
}

/// Whether a lease of the other instance changes anything: the end of a lease only concerns the
/// client that had it.
pub(crate) fn is_news<A>(heard: &Lease<A>, known: Option<&Lease<A>>) -> bool {
    heard.state != State::Released || known.is_some_and(|known| known.client == heard.client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_dhcp::Part;

    fn lease(state: State) -> Lease<IpAddr> {
        let client = "02:00:00:00:00:01".parse().unwrap();
        let (address, until) = ([10, 77, 0, 100].into(), Timestamp::MAX);
        Lease { address, client, state, until, binding: None }
    }

    #[test]
    fn who_may_be_behind_another_instance_waits_at_first() {
        assert_eq!(SharedLeases::new(None).role(), Role::Leads);
        let instances = |mode| Some(Instances { mode, part: Part::First });
        assert!(SharedLeases::new(instances(Sharing::Split)).answers());
        let published = SharedLeases::new(instances(Sharing::Standby));
        assert!(!published.answers());
        assert!(published.stand(Role::Answers) && published.answers());
        assert!(!published.stand(Role::Answers), "it is no change");
    }

    #[test]
    fn who_leads_by_now_does_not_only_answer_again() {
        let published = SharedLeases::new(None);
        assert!(!published.answer_at_least());
        assert_eq!(published.role(), Role::Leads);
        published.stand(Role::Waits);
        assert!(published.answer_at_least() && !published.answer_at_least());
        assert_eq!(published.role(), Role::Answers);
    }

    #[test]
    fn only_who_leads_has_something_to_write() {
        let published = SharedLeases::new(None);
        published.note(&[lease(State::Bound), lease(State::Released)]);
        assert_eq!(published.queue().len(), 1, "one address, once");
        published.stand(Role::Answers);
        let other: IpAddr = [10, 77, 0, 101].into();
        published.note(&[lease(State::Bound).at(other)]);
        assert_eq!((published.queue().len(), published.addresses().len()), (1, 2));
    }

    #[test]
    fn what_was_heard_is_taken_over_once_and_by_its_own_server() {
        let published = SharedLeases::new(None);
        published.hear(lease(State::Bound));
        published.hear(lease(State::Declined));
        assert_eq!(published.heard::<Ipv6Addr>(), []);
        let heard = published.heard::<Ipv4Addr>();
        assert_eq!((heard.len(), heard[0].state), (1, State::Declined), "the last one counts");
        assert_eq!(published.heard::<Ipv4Addr>(), []);
    }

    #[test]
    fn a_lease_that_has_changed_is_not_forgotten() {
        let published = SharedLeases::new(None);
        published.note(&[lease(State::Bound)]);
        published.forget(&lease(State::Released));
        assert!(published.lease([10, 77, 0, 100].into()).is_some());
        published.forget(&lease(State::Bound));
        assert_eq!(published.lease([10, 77, 0, 100].into()), None);
    }

    #[test]
    fn the_end_of_a_lease_means_only_the_client_that_had_it() {
        let other = Lease { client: "02:00:00:00:00:02".parse().unwrap(), ..lease(State::Bound) };
        assert!(is_news(&lease(State::Bound), Some(&other)));
        assert!(is_news(&lease(State::Released), Some(&lease(State::Bound))));
        assert!(!is_news(&lease(State::Released), Some(&other)));
        assert!(!is_news(&lease(State::Released), None));
    }
}
