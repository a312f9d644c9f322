use super::*;
use metal_core::dice::SeededRng;

const ROOM: usize = 64;

fn rest(fair_queue: &mut FairQueue<u32, u32>) -> Vec<u32> {
    std::iter::from_fn(|| fair_queue.pop()).collect()
}

#[test]
fn packets_of_one_source_come_in_their_order_and_sources_take_turns() {
    let mut fair_queue = FairQueue::new(ROOM);
    for packet in [10, 11, 12] {
        assert_eq!(fair_queue.push(Priority::Unknown, 1, packet), None);
    }
    fair_queue.push(Priority::Unknown, 2, 20);
    assert_eq!(rest(&mut fair_queue), [10, 20, 11, 12]);
    assert!(fair_queue.is_empty());
}

#[test]
fn a_source_that_sends_more_than_all_others_loses_its_own_packets() {
    let mut fair_queue = FairQueue::new(ROOM);
    fair_queue.push(Priority::Unknown, 7, 0);
    for packet in 1..10_000 {
        let dropped = fair_queue.push(Priority::Unknown, 1, packet);
        assert_ne!(dropped, Some(0), "the honest one");
    }
    assert_eq!(fair_queue.len(), ROOM);
    assert!(rest(&mut fair_queue)[..2].contains(&0), "it is served in its turn");
}

#[test]
fn who_is_known_neither_waits_for_ever_new_strangers_nor_loses_its_place_to_them() {
    let mut fair_queue = FairQueue::new(ROOM);
    for priority in [Priority::Known, Priority::Local] {
        for source in 1..10_000 {
            fair_queue.push(Priority::Unknown, source, 1);
        }
        assert_eq!(fair_queue.push(priority, 0, 0), Some(1), "a stranger makes room");
        for source in 10_000..20_000 {
            assert_eq!(fair_queue.push(Priority::Unknown, source, 1), Some(1));
        }
        let next = [fair_queue.pop(), fair_queue.pop()];
        assert!(next.contains(&Some(0)), "{next:?}");
    }
}

#[test]
fn of_strangers_the_latest_have_room_and_are_served_beside_those_who_are_known() {
    let mut fair_queue = FairQueue::new(ROOM);
    for packet in 0..1_000 {
        fair_queue.push(Priority::Known, packet % 50, packet);
    }
    for packet in 1_000..2_000 {
        fair_queue.push(Priority::Unknown, packet, packet);
    }
    let served: Vec<_> = (0..8).filter_map(|_| fair_queue.pop()).collect();
    let strangers: Vec<_> = served.iter().filter(|packet| **packet >= 1_000).collect();
    assert_eq!(strangers.len(), 2, "{served:?}");
    assert!(strangers.iter().all(|packet| **packet >= 2_000 - 64), "{served:?}");
}

#[test]
fn there_are_never_more_than_there_is_room_for_and_none_is_lost_or_doubled() {
    let mut dice = SeededRng(1);
    let priorities = [Priority::Unknown, Priority::Local, Priority::Known];
    let mut fair_queue = FairQueue::new(8);
    let (mut given, mut got) = (0, Vec::new());
    for packet in 0..20_000 {
        if dice.roll(3) > 0 {
            let priority = priorities[dice.roll(3)];
            let source = dice.roll(6);
            got.extend(fair_queue.push(priority, source, packet));
            given += 1;
        } else {
            got.extend(fair_queue.pop());
            let wanted = dice.roll(20_000);
            got.extend(fair_queue.remove(&dice.roll(6), |packet| *packet == wanted));
        }
        assert!(fair_queue.len() <= 8);
        assert!(fair_queue.lanes.iter().all(|lane| {
            lane.order.len() == lane.queues.len() && lane.longest.len() == lane.queues.len()
        }));
    }
    got.extend(std::iter::from_fn(|| fair_queue.pop()));
    got.sort_unstable();
    assert_eq!(got.len(), given);
    got.dedup();
    assert_eq!(got.len(), given);
}
