//! Keeps the `DHCPLease` objects of leases up to date, with as few writes as possible.
//!
//! ```text
//! lease:   until ──► until ──► until ──► ...         one step for each renewal
//! object:  heldUntil ─────────────────────────────► heldUntil
//! ```
//!
//! If an object contained the end of a lease, every renewal would have to write it. What others
//! need to know is who has an address, and for how long at least nobody else gets it. So the time
//! in the object is at least half a day after the end of the lease, and is written again only when
//! a renewal exceeds it. The object is removed when the lease ends, whatever time it contains.

use super::{Lease, State, fnv1a};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{DhcpLease, DhcpLeaseSpec, DhcpLeaseState};
use std::net::IpAddr;

/// How long the time in the object is after the end of the lease, at least.
const AHEAD: SignedDuration = SignedDuration::from_hours(12);
/// An extra, different for each address, so that clients that arrived together are not written
/// together again.
const SPREAD: SignedDuration = SignedDuration::from_hours(6);

/// What to do with the object of an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Writing {
    /// It is up to date, or there is none and should be none.
    Nothing,
    /// Apply this.
    Apply(Box<DhcpLease>),
    /// Remove it.
    Remove,
}

/// Decides about one address. `hostname` is the name reserved for the client with the address.
pub fn writing(
    lease: Option<&Lease<IpAddr>>,
    hostname: Option<&str>,
    object: Option<&DhcpLease>,
    now: Timestamp,
) -> Writing {
    let held = lease.filter(|lease| lease.holds(now));
    match (held.and_then(|lease| spec(lease, hostname)), object) {
        (None, None) => Writing::Nothing,
        (None, Some(_)) => Writing::Remove,
        (Some((lease, spec)), Some(object)) if tells(object, lease, &spec) => Writing::Nothing,
        (Some((lease, spec)), _) => {
            Writing::Apply(Box::new(DhcpLease::new(&DhcpLease::name_of(lease.address), spec)))
        }
    }
}

/// Whether an object is of a lease of the same address that ends later. Of two instances that both answer, the one with
/// the later lease writes the object of an address that a client may have from both.
pub fn is_of_later(object: &DhcpLease, lease: &Lease<IpAddr>) -> bool {
    spec(lease, None).is_some_and(|(_, wanted)| object.spec.held_until.0 > wanted.held_until.0)
}

/// The lease that an object describes; `None` if no instance of netboot can have written it.
pub fn lease_of(object: &DhcpLease) -> Option<Lease<IpAddr>> {
    let DhcpLeaseSpec { client, state, held_until, .. } = &object.spec;
    let state = match state {
        DhcpLeaseState::Bound => State::Bound,
        DhcpLeaseState::Declined => State::Declined,
    };
    let (address, client) = (object.address()?, client.parse().ok()?);
    Some(Lease { address, client, state, until: held_until.0, binding: None })
}

/// The content of the object for a lease, if it should have one.
fn spec<'a>(
    lease: &'a Lease<IpAddr>,
    hostname: Option<&str>,
) -> Option<(&'a Lease<IpAddr>, DhcpLeaseSpec)> {
    let (state, ahead) = match lease.state {
        State::Bound => (DhcpLeaseState::Bound, ahead(lease.address)),
        State::Declined => (DhcpLeaseState::Declined, SignedDuration::ZERO),
        State::Offered | State::Released => return None,
    };
    let held_until = lease.until.saturating_add(ahead).unwrap_or(Timestamp::MAX);
    let spec = DhcpLeaseSpec {
        ip: lease.address.to_string(),
        client: lease.client.to_string(),
        hostname: hostname.map(str::to_owned),
        state,
        held_until: Time(Timestamp::from_second(held_until.as_second()).unwrap_or(held_until)),
    };
    Some((lease, spec))
}

fn ahead(address: IpAddr) -> SignedDuration {
    let hash = match address {
        IpAddr::V4(address) => fnv1a(&address.octets()),
        IpAddr::V6(address) => fnv1a(&address.octets()),
    };
    let spread = hash % SPREAD.as_secs().unsigned_abs();
    AHEAD + SignedDuration::from_secs(i64::try_from(spread).unwrap_or_default())
}

/// Whether an object is up to date: it names the client, and its time is neither before the end of
/// the lease nor later than what would be written now.
fn tells(object: &DhcpLease, lease: &Lease<IpAddr>, wanted: &DhcpLeaseSpec) -> bool {
    let held_until = object.spec.held_until.clone();
    let is_near = held_until.0 >= lease.until && held_until.0 <= wanted.held_until.0;
    is_near && DhcpLeaseSpec { held_until, ..wanted.clone() } == object.spec
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn lease(state: State, until: i64) -> Lease<IpAddr> {
        let client = "02:00:00:00:00:01".parse().unwrap();
        let address = [10, 77, 0, 100].into();
        Lease { address, client, state, until: at(until), binding: None }
    }

    /// The object for a lease.
    fn object(lease: &Lease<IpAddr>) -> DhcpLease {
        match writing(Some(lease), None, None, at(NOW)) {
            Writing::Apply(object) => *object,
            other @ (Writing::Nothing | Writing::Remove) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_is_written_with_everything_that_others_need() {
        let bound = lease(State::Bound, NOW + HOUR);
        let Writing::Apply(object) = writing(Some(&bound), Some("rack1-u1"), None, at(NOW)) else {
            panic!("nothing written");
        };
        assert_eq!(object.metadata.name.as_deref(), Some("10.77.0.100"));
        assert_eq!(object.spec.client, "02:00:00:00:00:01");
        assert_eq!(object.spec.hostname.as_deref(), Some("rack1-u1"));
        let read = lease_of(&object).unwrap();
        assert_eq!(Lease { until: bound.until, ..read.clone() }, bound);
        assert!(read.until > bound.until, "never before the end of the lease");
    }

    #[test]
    fn an_ipv6_address_makes_a_name() {
        let names =
            ["fd77::1000", "fe80::", "::1"].map(|text| DhcpLease::name_of(text.parse().unwrap()));
        assert_eq!(names[0], "fd77-0000-0000-0000-0000-0000-0000-1000");
        assert_eq!(names[1], "fe80-0000-0000-0000-0000-0000-0000-0000");
        let bound = Lease { address: "fd77::1".parse().unwrap(), ..lease(State::Bound, NOW + 1) };
        assert_eq!(lease_of(&object(&bound)).unwrap().address, bound.address);
    }

    #[test]
    fn what_is_over_given_back_or_only_offered_has_no_object() {
        let object = object(&lease(State::Bound, NOW + HOUR));
        for lease in [
            None,
            Some(lease(State::Bound, NOW)),
            Some(lease(State::Released, NOW + HOUR)),
            Some(lease(State::Offered, NOW + HOUR)),
        ] {
            assert_eq!(writing(lease.as_ref(), None, None, at(NOW)), Writing::Nothing, "{lease:?}");
            let writing = writing(lease.as_ref(), None, Some(&object), at(NOW));
            assert_eq!(writing, Writing::Remove, "{lease:?}");
        }
    }

    #[test]
    fn a_client_that_renews_for_a_day_is_written_at_most_twice() {
        let mut now = NOW;
        let mut current = object(&lease(State::Bound, now + HOUR));
        let mut writes = 0;
        while now < NOW + 24 * HOUR {
            now += HOUR / 2;
            let renewed = lease(State::Bound, now + HOUR);
            match writing(Some(&renewed), None, Some(&current), at(now)) {
                Writing::Nothing => {}
                Writing::Apply(object) => {
                    writes += 1;
                    current = *object;
                }
                Writing::Remove => panic!("it has the address"),
            }
            assert!(lease_of(&current).unwrap().until >= renewed.until, "it would mislead");
        }
        assert!((1..=2).contains(&writes), "{writes}");
    }

    #[test]
    fn what_misleads_is_written_again() {
        let bound = lease(State::Bound, NOW + HOUR);
        let right = object(&bound);
        assert_eq!(writing(Some(&bound), None, Some(&right), at(NOW)), Writing::Nothing);
        let wrong = |change: fn(&mut DhcpLeaseSpec)| {
            let mut wrong = right.clone();
            change(&mut wrong.spec);
            wrong
        };
        for wrong in [
            wrong(|spec| spec.client = "02:00:00:00:00:02".to_owned()),
            wrong(|spec| spec.state = DhcpLeaseState::Declined),
            wrong(|spec| spec.ip = "10.77.0.101".to_owned()),
            wrong(|spec| spec.hostname = Some("other".to_owned())),
            wrong(|spec| spec.held_until = Time(at(NOW + HOUR - 1))),
            wrong(|spec| spec.held_until = Time(at(NOW + 100 * HOUR))),
        ] {
            let writing = writing(Some(&bound), None, Some(&wrong), at(NOW));
            assert_eq!(writing, Writing::Apply(Box::new(right.clone())), "{wrong:?}");
        }
    }

    #[test]
    fn of_two_instances_with_leases_of_one_address_only_that_with_the_later_one_writes() {
        let earlier = lease(State::Bound, NOW + HOUR);
        let later = lease(State::Bound, NOW + 24 * HOUR);
        let declined = lease(State::Declined, NOW + HOUR);
        assert!(is_of_later(&object(&later), &earlier) && is_of_later(&object(&later), &declined));
        // It writes what it knows, and is content with that.
        for other in [&earlier, &declined] {
            assert!(!is_of_later(&object(other), &later));
            let written = Writing::Apply(Box::new(object(&later)));
            assert_eq!(writing(Some(&later), None, Some(&object(other)), at(NOW)), written);
        }
        let own = object(&later);
        assert!(!is_of_later(&own, &later));
        assert_eq!(writing(Some(&later), None, Some(&own), at(NOW)), Writing::Nothing);
        // What its client has released is removed.
        assert!(!is_of_later(&own, &lease(State::Released, NOW)));
    }

    #[test]
    fn what_nobody_here_wrote_is_no_lease() {
        let right = object(&lease(State::Bound, NOW + HOUR));
        let mut renamed = right.clone();
        renamed.metadata.name = Some("10.77.0.1".to_owned());
        assert_eq!(lease_of(&renamed), None);
        let mut nobodys = right.clone();
        nobodys.spec.client = "somebody".to_owned();
        assert_eq!(lease_of(&nobodys), None);
        let mut nowhere = right;
        nowhere.spec.ip = "somewhere".to_owned();
        assert_eq!(lease_of(&nowhere), None);
    }
}
