//! A conforming client (RFC 1350, RFC 7440) on a network that loses, duplicates and delays packets.

use super::*;
use std::collections::VecDeque;

/// SplitMix64.
pub(super) struct SeededRng(pub(super) u64);

impl SeededRng {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// How many of 100 packets are lost, duplicated, and reordered.
struct Network {
    dice: SeededRng,
    lost: u64,
    doubled: u64,
    overtaken: u64,
}

impl Network {
    fn carry<T: Clone>(&mut self, queue: &mut VecDeque<T>, packet: T) {
        if self.dice.roll(100) < self.lost {
            return;
        }
        if self.dice.roll(100) < self.doubled {
            queue.push_back(packet.clone());
        }
        queue.push_back(packet);
        if self.dice.roll(100) < self.overtaken && queue.len() > 1 {
            let last = queue.len() - 1;
            queue.swap(last, last - 1);
        }
    }
}

/// The client's state.
struct Client {
    windowsize: u64,
    /// Number of blocks received.
    has: u64,
    /// Blocks since its last ACK.
    unacknowledged: u64,
    is_behind: bool,
}

impl Client {
    fn take(&mut self, block: u64, last: u64) -> Option<u64> {
        if block == self.has + 1 {
            (self.has, self.is_behind) = (block, false);
            self.unacknowledged += 1;
            if self.unacknowledged == self.windowsize || block == last {
                self.unacknowledged = 0;
                return Some(self.has);
            }
            return None;
        }
        // A gap is reported once; an old block is acknowledged again at the end of its window.
        let tell = if block > self.has { !self.is_behind } else { block == self.has };
        self.is_behind |= block > self.has;
        if tell {
            self.unacknowledged = 0;
        }
        tell.then_some(self.has)
    }
}

/// How many blocks were sent until the client had them all.
fn run(seed: u64, windowsize: u16, blocks: u64, faults: (u64, u64, u64)) -> u64 {
    let (lost, doubled, overtaken) = faults;
    let mut network = Network { dice: SeededRng(seed), lost, doubled, overtaken };
    let mut server = transfer(windowsize, blocks);
    let mut client =
        Client { windowsize: windowsize.into(), has: 0, unacknowledged: 0, is_behind: false };
    let (mut down, mut up) = (VecDeque::new(), VecDeque::new());
    let (mut step, mut sent) = (server.receive(&Packet::Ack(0)), 0);
    loop {
        match step {
            Step::Send(window) => {
                sent += window.clone().count() as u64;
                window.for_each(|block| network.carry(&mut down, block));
            }
            Step::End(end) => {
                assert_eq!((end, client.has), (End::Done, blocks), "seed {seed}");
                return sent;
            }
            Step::Oack | Step::Wait => {}
        }
        while let Some(block) = down.pop_front() {
            if let Some(block) = client.take(block, blocks) {
                network.carry(&mut up, block);
            }
        }
        step = if let Some(block) = up.pop_front() {
            let [.., high, low] = u64::to_be_bytes(block);
            server.receive(&Packet::Ack(u16::from_be_bytes([high, low])))
        } else {
            client.unacknowledged = 0;
            server.expire()
        };
    }
}

#[test]
fn a_network_without_faults_carries_every_block_once() {
    for windowsize in [1, 2, 4, 16, 64] {
        assert_eq!(run(1, windowsize, 70_000, (0, 0, 0)), 70_000, "{windowsize}");
    }
}

#[test]
fn every_file_arrives_over_a_bad_network_and_at_a_bounded_price() {
    for seed in 0..200 {
        for windowsize in [1, 4, 16, 64] {
            let sent = run(seed, windowsize, 2_000, (5, 5, 5));
            // Each loss costs at most one window, and at most one packet in ten is lost.
            let price = 2_000 * (1 + u64::from(windowsize) / 2);
            assert!(sent <= price.max(3_000), "seed {seed}, window {windowsize}: {sent}");
        }
    }
}

#[test]
fn packets_that_are_always_doubled_do_not_double_the_file() {
    let sent = run(3, 1, 5_000, (0, 100, 0));
    assert_eq!(sent, 5_000);
}
