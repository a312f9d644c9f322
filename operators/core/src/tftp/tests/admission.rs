use super::*;
use std::net::SocketAddr;

const BOUNDS: Bounds = Bounds { transfers: 4, per_source: 2 };

fn client(host: u8, port: u16) -> SocketAddr {
    ([10, 0, 0, host], port).into()
}

fn start(admission: &mut Admission, client: SocketAddr, request: &[u8]) -> (Id, Option<Id>) {
    match admission.admit(client, request) {
        Ok(Admitted::Start { id, replaced }) => (id, replaced),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_that_is_repeated_before_its_answer_arrives_starts_nothing() {
    let mut admission = Admission::new(BOUNDS);
    let (id, _) = start(&mut admission, client(1, 2000), b"a");
    assert_eq!(admission.admit(client(1, 2000), b"a"), Ok(Admitted::Repeated));
    admission.answered(client(1, 2000), id);
    let (_, replaced) = start(&mut admission, client(1, 2000), b"a");
    assert_eq!(replaced, Some(id), "the machine was reset");
}

#[test]
fn edk2_asks_again_from_its_port_before_the_probe_has_ended() {
    let mut admission = Admission::new(BOUNDS);
    let (probe, _) = start(&mut admission, client(1, 2000), b"tsize");
    let (id, replaced) = start(&mut admission, client(1, 2000), b"blksize");
    assert_eq!(replaced, Some(probe));
    admission.ended(client(1, 2000), probe);
    assert_eq!(admission.admit(client(1, 2000), b"blksize"), Ok(Admitted::Repeated));
    admission.ended(client(1, 2000), id);
    assert_eq!(admission.count(), 0);
    assert_eq!(start(&mut admission, client(1, 2000), b"blksize").1, None);
}

#[test]
fn transfers_of_one_address_are_bounded_and_others_are_served() {
    let mut admission = Admission::new(BOUNDS);
    let (first, _) = start(&mut admission, client(1, 1), b"a");
    start(&mut admission, client(1, 2), b"a");
    for port in 2..1000 {
        let refused = admission.admit(client(1, port), b"b");
        assert_eq!(refused, Err(Refusal::SourceIsBusy), "replacing does not help");
    }
    start(&mut admission, client(2, 1), b"a");
    admission.ended(client(1, 1), first);
    start(&mut admission, client(1, 3), b"a");
}

#[test]
fn transfers_of_all_are_bounded() {
    let mut admission = Admission::new(BOUNDS);
    let ids: Vec<_> = (0..4).map(|host| start(&mut admission, client(host, 1), b"a").0).collect();
    assert_eq!(admission.admit(client(9, 1), b"a"), Err(Refusal::Busy));
    admission.ended(client(0, 1), ids[0]);
    start(&mut admission, client(9, 1), b"a");
}
