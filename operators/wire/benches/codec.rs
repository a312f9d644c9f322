//! Time to read a firmware's request and to write the reply: `cargo bench -p metal-wire`.

use metal_wire::v4::{MessageType, Packet, code};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Duration of each measurement.
const TIME: Duration = Duration::from_secs(2);

fn main() {
    let question = question().encode();
    let answer = answer();
    measure("parse", || drop(black_box(Packet::parse(black_box(&question)))));
    measure("encode", || drop(black_box(black_box(&answer).encode())));
}

#[expect(clippy::print_stdout, reason = "a benchmark prints")]
fn measure(name: &str, work: impl Fn()) {
    let (since, mut times) = (Instant::now(), 0_u32);
    while since.elapsed() < TIME {
        (0..1_000).for_each(|_| work());
        times += 1_000;
    }
    println!("{name}: {:?}", since.elapsed() / times);
}

/// A PXE request as OVMF sends it.
fn question() -> Packet {
    let mut packet = Packet { xid: 7, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    let options = &mut packet.options;
    options.set(code::MESSAGE_TYPE, [MessageType::Discover as u8]);
    options.set(code::MAX_SIZE, 1472_u16.to_be_bytes());
    options.set(code::PARAMETERS, (1..36).collect::<Vec<u8>>());
    options.set(code::MACHINE_ID, [7; 17]);
    options.set(code::INTERFACE, [1, 3, 16]);
    options.set(code::ARCHITECTURE, [0, 7]);
    options.set(code::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016");
    packet
}

/// A reply as netboot sends it.
fn answer() -> Packet {
    let mut packet = Packet { op: 2, yiaddr: [10, 0, 0, 9].into(), ..question() };
    packet.file = b"snponly.efi".to_vec();
    let options = &mut packet.options;
    for code in [code::SUBNET_MASK, code::ROUTER, code::DNS, code::NTP, code::SERVER_ID] {
        options.set(code, [10, 0, 0, 1]);
    }
    for code in [code::LEASE_TIME, code::RENEWAL, code::REBINDING] {
        options.set(code, 3600_u32.to_be_bytes());
    }
    options.set(code::DOMAIN_NAME, b"oob.example.org");
    options.set(code::BOOT_FILE, b"snponly.efi\0");
    packet
}
