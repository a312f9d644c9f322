//! Two instances that both answer.

use super::*;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_runtime::testing::{ApiServer, list};

const CONFIG: &str = "
interfaces: [eth1]
instances: { mode: split, part: 1 }
subnets:
  - subnet: 10.77.0.0/24
    ranges: [10.77.0.100-10.77.0.200]
    reservations: [{ mac: '02:00:00:00:00:01', ip: 10.77.0.10 }]
";
const RESERVED: u8 = 10;
const IN_OUR_PART: u8 = 100;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An instance with a lease in this state, and an object of a bound one with this time.
async fn others(last: u8, state: State, held_until: Timestamp) -> Option<Next> {
    let config = Arc::new(Config::parse(CONFIG).unwrap());
    let shared = SharedLeases::new(config.instances);
    let config = watch::Sender::new(config).subscribe();
    let client = ApiServer::default().client("default");
    let publisher = LeasePublisher::new(client, shared, config, Metric::default());
    let (address, until) = (IpAddr::from([10, 77, 0, last]), Timestamp::now() + HOUR);
    let client = "02:00:00:00:00:01".parse().unwrap();
    let lease = Lease { address, client, state: State::Bound, until, binding: None };
    let Writing::Apply(mut object) = writing(Some(&lease), None, None, Timestamp::now()) else {
        panic!("nothing to write");
    };
    object.spec.held_until = Time(held_until);
    list(&publisher.objects, [*object]).await;
    publisher.published.note(&[Lease { state, ..lease }]);
    publisher.others(address)
}

#[tokio::test]
async fn only_the_object_of_an_address_that_both_may_give_is_left_to_a_later_lease_while_it_runs() {
    let (later, past) = (Timestamp::now() + HOUR * 48, Timestamp::now() - HOUR);
    for state in [State::Bound, State::Declined] {
        let next = others(RESERVED, state, later).await;
        assert!(matches!(next, Some(Next::NotBefore(time)) if time > Duration::from_hours(47)));
        assert!(others(RESERVED, state, past).await.is_none(), "{state}");
        assert!(others(IN_OUR_PART, state, later).await.is_none(), "{state}");
    }
    assert!(others(RESERVED, State::Released, later).await.is_none());
}
