//! A TFTP server, with whatever a client may send and whenever it stays silent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_dhcp::tftp::{Limits, Packet, Step, Terms, Transfer};

fuzz_target!(|data: &[u8]| {
    let mut packets = data.split(|byte| *byte == b'|');
    let Some(Ok(Packet::Read(request))) = packets.next().map(Packet::decode) else { return };
    let size = request.file.len() as u64 * 1_000;
    let limits = Limits::default();
    let terms = Terms::new(&request, size, limits);
    assert!((8..=1468).contains(&terms.blksize) && (1..=64).contains(&terms.windowsize));
    let last = size / u64::from(terms.blksize) + 1;
    let mut transfer = Transfer::new(&terms);
    let mut step = transfer.begin();
    for packet in packets {
        match &step {
            Step::End(_) => return,
            // Never more than a window, and never a block that is not there.
            Step::Send(blocks) => {
                assert!(blocks.start() >= &1 && blocks.end() <= &last);
                assert!(blocks.end() - blocks.start() < u64::from(terms.windowsize));
            }
            Step::Oack => assert!(terms.oack.is_some()),
            Step::Wait => {}
        }
        let before = transfer.acknowledged();
        step = match Packet::decode(packet) {
            Ok(packet) => transfer.receive(&packet),
            Err(_) => transfer.expire(),
        };
        assert!(transfer.acknowledged() >= before, "what a client has it does not lose");
    }
});
