//! What is written by one of two instances that both answer.

use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_dhcp::lease::State;
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

fn publisher(server: &ApiServer) -> LeasePublisher {
    let config = Arc::new(Config::parse(CONFIG).unwrap());
    let shared = SharedLeases::new(config.instances);
    let config = watch::Sender::new(config).subscribe();
    LeasePublisher::new(server.client("default"), shared, config, Metric::default())
}

fn lease(last: u8) -> Lease<IpAddr> {
    let (address, until) = (IpAddr::from([10, 77, 0, last]), Timestamp::now() + HOUR);
    let client = "02:00:00:00:00:01".parse().unwrap();
    Lease { address, client, state: State::Bound, until, binding: None }
}

/// What is to be done by an instance with a lease in this state, and an object of a bound one with this time.
async fn others(last: u8, state: State, held_until: Timestamp) -> Option<Next> {
    let (publisher, lease) = (publisher(&ApiServer::default()), lease(last));
    let address = lease.address;
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

#[tokio::test]
async fn who_waits_keeps_an_address_for_a_while_whose_object_is_gone() {
    let (publisher, lease) = (publisher(&ApiServer::default()), lease(IN_OUR_PART));
    publisher.published.stand(Role::Waits);
    let Writing::Apply(object) = writing(Some(&lease), None, None, Timestamp::now()) else {
        panic!("nothing to write");
    };
    let object = Arc::new(*object);
    publisher.changed(&Change::Applied { old: None, new: &object });
    publisher.changed(&Change::Removed(&object));
    let known = publisher.published.lease(lease.address).unwrap();
    let left = known.until.duration_since(Timestamp::now());
    assert_eq!((known.state, &known.client), (State::Bound, &lease.client));
    assert!(left.is_positive() && left <= RELEASED, "{left}");
    let client = "02:00:00:00:00:02".parse().unwrap();
    let released = Lease { state: State::Released, ..lease.clone() };
    for known in [released, Lease { client, ..lease }] {
        publisher.published.note(std::slice::from_ref(&known));
        publisher.changed(&Change::Removed(&object));
        assert_eq!(publisher.published.lease(known.address), Some(known));
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_all_from_being_written_is_told_once_until_one_is() {
    let server = ApiServer::default();
    let (publisher, leases) = (publisher(&server), [100, 101].map(lease));
    publisher.published.note(&leases);
    let [first, second] = leases.map(|lease| lease.address);
    for _ in 0..2 {
        server.fail(Some(http::StatusCode::INTERNAL_SERVER_ERROR));
        assert!(!publisher.publish(first).await.unwrap_err().is_told());
        assert!(publisher.publish(second).await.unwrap_err().is_told());
        server.fail(Some(http::StatusCode::FORBIDDEN));
        assert!(!publisher.publish(first).await.unwrap_err().is_told());
        server.fail(None);
        assert_eq!(publisher.publish(second).await.unwrap(), "Written");
    }
}
