//! Two servers for one network: neither guesses what it does not know.

use super::*;

fn config(mode: &str, part: u8) -> String {
    let config = CONFIG.replace("100-10.77.0.102", "100-10.77.0.107");
    format!("instances: {{ mode: {mode}, part: {part} }}{config}")
}

fn two(mode: &str) -> [Lab; 2] {
    [1, 2].map(|part| Lab::with(&config(mode, part)))
}

#[test]
fn instances_that_know_nothing_of_each_other_never_give_one_address_to_two_clients() {
    for mode in ["split", "standby"] {
        let [mut one, mut other] = two(mode);
        // One address of the lower half is reserved.
        let mut addresses: Vec<_> = (1..=3).map(|client| one.bind(client)).collect();
        addresses.extend((5..=8).map(|client| other.bind(client)));
        let all = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), all, "{mode}");
    }
}

#[test]
fn of_split_instances_none_gives_out_what_is_the_other_ones() {
    let [mut one, _] = two("split");
    (1..=3).for_each(|client| assert!(one.bind(client).octets()[3] < 104));
    assert_eq!(one.send(&discover(5)).answer, Err(DropReason::NoFreeAddress));
    assert_eq!(one.bind(0x98), Ipv4Addr::new(10, 77, 0, 102), "but who has one of its own gets it");
}

#[test]
fn an_instance_that_is_alone_gives_out_the_other_ones_addresses_when_it_has_no_more() {
    let [mut one, _] = two("standby");
    let addresses: Vec<_> = (1..=7).map(|client| one.bind(client)).collect();
    let own = addresses.iter().take_while(|address| address.octets()[3] < 104).count();
    assert_eq!(own, 3, "first its own, but for the reserved one: {addresses:?}");
    let decision = one.send(&discover(8));
    assert_eq!(decision.answer, Err(DropReason::NoFreeAddress));
}

#[test]
fn clients_of_the_other_instance_are_left_to_it() {
    for mode in ["split", "standby"] {
        let [mut one, mut other] = two(mode);
        let theirs = other.bind(1);
        for packet in [renew(1, theirs), reboot(1, theirs)] {
            let decision = one.send(&packet);
            assert_eq!(decision.answer, Err(DropReason::UnknownClient), "{mode}");
            assert_eq!(decision.changes, []);
        }
        // It asks for the address that it has; ours differs.
        let mut wishes = discover(1);
        wishes.options.set(code::REQUESTED_ADDRESS, theirs.octets());
        assert_ne!(one.answer(&wishes).packet.yiaddr, theirs, "{mode}");
    }
}

#[test]
fn who_takes_over_renews_what_it_has_heard_of() {
    let [mut active, mut heir] = two("standby");
    let address = active.bind(1);
    heir.leases.apply(active.leases.get(address).unwrap().clone());
    let ack = heir.answer(&renew(1, address));
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, address));
    let offer = heir.send(&discover(1));
    assert_eq!(offer.answer.unwrap().packet.yiaddr, address);
    assert_eq!(offer.probe, Some(address), "the other one may have given it away since");
    assert_ne!(heir.bind(2), address);
}

#[test]
fn what_was_heard_of_and_is_over_is_not_given_back_to_its_client_unasked() {
    // The other instance may have assigned it since.
    let [mut active, mut heir] = two("standby");
    let address = active.bind(1);
    heir.leases.apply(active.leases.get(address).unwrap().clone());
    heir.pass(4000);
    assert_ne!(heir.answer(&discover(1)).packet.yiaddr, address);
    assert_eq!(heir.send(&reboot(1, address)).answer, Err(DropReason::UnknownClient));
}
