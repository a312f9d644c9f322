use super::*;
use crate::fair_queue::Priority;
use std::net::SocketAddr;

const BOUNDS: Bounds = Bounds { transfers: 4, per_address: 2, per_source: 3, unproven: 8 };

fn client(host: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, host], port).into()
}

fn admit(admission: &mut Admission, client: SocketAddr, request: &[u8]) -> (Id, Option<Id>) {
    match admission.admit(client, Priority::Unknown, request) {
        Admitted::Answer { id, forgotten, .. } => (id, forgotten),
        other @ (Admitted::Repeated(_) | Admitted::Dropped) => panic!("{other:?}"),
    }
}

/// Makes a transfer of it; returns one that this replaces.
fn prove(admission: &mut Admission, id: Id) -> Result<Option<Id>, Refusal> {
    admission.prove(id, |_| 0).map(|proven| proven.replaced)
}

/// A transfer.
fn start(admission: &mut Admission, client: SocketAddr) -> (Id, Option<Id>) {
    let (id, _) = admit(admission, client, b"a");
    (id, prove(admission, id).unwrap())
}

#[test]
fn a_request_that_is_repeated_before_its_answer_arrives_starts_nothing() {
    let mut admission = Admission::new(BOUNDS);
    let (id, _) = admit(&mut admission, client(1, 2000), b"a");
    assert_eq!(admission.admit(client(1, 2000), Priority::Unknown, b"a"), Admitted::Repeated(id));
    assert_eq!(prove(&mut admission, id), Ok(None));
    let (again, replaced) = start(&mut admission, client(1, 2000));
    assert_eq!(replaced, Some(id), "the machine was reset");
    assert_ne!(again, id);
}

#[test]
fn edk2_asks_again_from_its_port_before_the_probe_has_ended() {
    let mut admission = Admission::new(BOUNDS);
    let (probe, _) = admit(&mut admission, client(1, 2000), b"tsize");
    let Admitted::Answer { id, forgotten: None, superseded } =
        admission.admit(client(1, 2000), Priority::Unknown, b"blksize")
    else {
        panic!("another request")
    };
    assert_eq!(superseded, Some(probe));
    assert_eq!(
        admission.admit(client(1, 2000), Priority::Unknown, b"blksize"),
        Admitted::Repeated(id)
    );
    assert_eq!(prove(&mut admission, probe), Ok(None), "its answer was on its way");
    admission.ended(client(1, 2000), probe);
    admission.forget(id);
    assert_eq!((admission.unproven(), admission.count()), (0, 0));
    assert_eq!(admit(&mut admission, client(1, 2000), b"blksize").1, None);
}

#[test]
fn a_request_in_the_name_of_a_client_does_not_end_its_transfer() {
    let mut admission = Admission::new(BOUNDS);
    let (id, _) = start(&mut admission, client(1, 2000));
    let (forged, forgotten) = admit(&mut admission, client(1, 2000), b"b");
    assert_eq!(forgotten, None);
    admission.forget(forged);
    assert_eq!(admission.count(), 1);
    admission.ended(client(1, 2000), id);
    assert_eq!(admission.count(), 0);
}

#[test]
fn requests_in_the_name_of_others_take_no_place_and_the_oldest_goes_first() {
    let mut admission = Admission::new(BOUNDS);
    let ids: Vec<_> = (0..8).map(|host| admit(&mut admission, client(host, 1), b"a").0).collect();
    for n in 0..1000_u16 {
        let host = 100 + u8::try_from(n % 100).unwrap();
        let (_, forgotten) = admit(&mut admission, client(host, n + 1), b"a");
        assert!(n >= 8 || forgotten == Some(ids[usize::from(n)]));
        assert_eq!((admission.unproven(), admission.count()), (8, 0));
    }
    start(&mut admission, client(9, 1));
}

#[test]
fn a_flood_of_one_address_crowds_out_only_its_own_requests() {
    let mut admission = Admission::new(BOUNDS);
    let (honest, _) = admit(&mut admission, client(1, 1), b"a");
    for port in 0..1000 {
        admit(&mut admission, client(2, port), b"a");
    }
    assert_eq!(admission.unproven(), 8);
    assert_eq!(prove(&mut admission, honest), Ok(None));
}

#[test]
fn a_request_that_finds_no_place_is_not_answered() {
    let mut admission = Admission::new(Bounds { unproven: 2, ..BOUNDS });
    // Those that are known keep their places.
    for host in 0..2 {
        admission.admit(client(host, 1), Priority::Known, b"a");
    }
    assert_eq!(admission.admit(client(9, 1), Priority::Unknown, b"a"), Admitted::Dropped);
    assert_eq!(admission.unproven(), 2);
}

#[test]
fn transfers_of_one_address_are_bounded_and_others_are_served() {
    let mut admission = Admission::new(BOUNDS);
    let (first, _) = start(&mut admission, client(1, 1));
    start(&mut admission, client(1, 2));
    for port in 2..1000 {
        let (id, _) = admit(&mut admission, client(1, port), b"b");
        assert_eq!(
            prove(&mut admission, id),
            Err(Refusal::SourceIsBusy),
            "replacing does not help"
        );
    }
    start(&mut admission, client(2, 1));
    admission.ended(client(1, 1), first);
    start(&mut admission, client(1, 3));
}

#[test]
fn transfers_of_all_are_bounded() {
    let mut admission = Admission::new(BOUNDS);
    let ids: Vec<_> = (0..4).map(|host| start(&mut admission, client(host, 1)).0).collect();
    let (id, _) = admit(&mut admission, client(9, 1), b"a");
    assert_eq!(prove(&mut admission, id), Err(Refusal::Busy));
    admission.ended(client(0, 1), ids[0]);
    start(&mut admission, client(9, 1));
    assert_eq!(admission.unproven(), 0);
}

#[test]
fn the_slowest_transfer_of_the_source_with_the_most_makes_room_for_who_has_fewer() {
    let mut admission = Admission::new(BOUNDS);
    let crowd: Vec<_> = [(1, 1), (1, 2)].map(|(host, port)| client(host, port)).into();
    let crowd: Vec<_> = crowd.iter().map(|client| start(&mut admission, *client).0).collect();
    let others = [2, 3].map(|host| start(&mut admission, client(host, 1)).0);
    // The others are slower, but each has just one.
    let speed =
        |id: Id| if id == crowd[1] { 10 } else { 20 - 20 * u64::from(others.contains(&id)) };
    let (id, _) = admit(&mut admission, client(4, 1), b"a");
    let proven = admission.prove(id, speed).unwrap();
    assert_eq!(proven, EndedTransfers { replaced: None, displaced: Some(crowd[1]) });
    assert_eq!(admission.count(), BOUNDS.transfers);
    // Now nobody has more than one.
    let (id, _) = admit(&mut admission, client(5, 1), b"a");
    assert_eq!(admission.prove(id, speed), Err(Refusal::Busy));
    // That it ends now frees no place.
    admission.ended(client(1, 2), crowd[1]);
    assert_eq!(admission.count(), BOUNDS.transfers);
    admission.ended(client(1, 1), crowd[0]);
    assert_eq!(admission.count(), BOUNDS.transfers - 1);
}

#[test]
fn all_addresses_of_one_host_are_one_source_and_a_link_has_more_transfers_than_an_address() {
    let mut admission = Admission::new(BOUNDS);
    let v6 = |host: u16| SocketAddr::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(), 1);
    (1..4).for_each(|host| _ = start(&mut admission, v6(host)));
    let (id, _) = admit(&mut admission, v6(4), b"a");
    assert_eq!(prove(&mut admission, id), Err(Refusal::SourceIsBusy));
    start(&mut admission, client(1, 1));
    // The port is full, and the link has more than its share.
    let (id, _) = admit(&mut admission, client(2, 1), b"a");
    assert!(admission.prove(id, |_| 0).unwrap().displaced.is_some());
}

#[test]
fn only_so_many_transfers_make_room_before_they_have_ended() {
    let bounds = Bounds { transfers: 200, per_address: 200, per_source: 200, unproven: 8 };
    let mut admission = Admission::new(bounds);
    (0..200).for_each(|port| _ = start(&mut admission, client(1, port)));
    let newcomer = |admission: &mut Admission, host| {
        let (id, _) = admit(admission, client(host, 1), b"a");
        admission.prove(id, |_| 0).map(|proven| proven.displaced)
    };
    let displaced: Vec<_> =
        (2..66).map(|host| newcomer(&mut admission, host).unwrap().unwrap()).collect();
    assert_eq!(newcomer(&mut admission, 99), Err(Refusal::Busy), "their threads still run");
    admission.ended(client(1, 0), displaced[0]);
    assert!(newcomer(&mut admission, 99).is_ok());
}

#[test]
fn a_client_that_is_known_loses_its_place_to_no_stranger() {
    let mut admission = Admission::new(BOUNDS);
    let Admitted::Answer { id, .. } = admission.admit(client(1, 2000), Priority::Known, b"a")
    else {
        panic!("it is new")
    };
    for host in 2..200 {
        let (_, forgotten) = admit(&mut admission, client(host, 2000), b"a");
        assert_ne!(forgotten, Some(id));
    }
    assert_eq!(prove(&mut admission, id), Ok(None));
}
