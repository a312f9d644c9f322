//! The event log of a machine's firmware: as it is, or what comes behind the first event of a log.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_attest::EventLog;

/// The first event, with the banks of SHA-1 and SHA-256.
const HEAD: &[u8] = include_bytes!("../seeds/eventlog/head.bin");

fuzz_target!(|data: &[u8]| {
    for octets in [data.to_vec(), [HEAD, data].concat()] {
        match EventLog::parse(&octets) {
            Ok(log) => read(&log, octets.len()),
            Err(error) => told(&error.to_string(), 100),
        }
    }
});

fn read(log: &EventLog, len: usize) {
    let values = log.replay();
    assert!(values.keys().copied().eq(0..24));
    let mut count = 0;
    for (pcr, value) in values {
        let mut last = 0;
        for event in log.of(pcr) {
            assert!(event.number > last && event.pcr == pcr);
            told(&event.kind.to_string(), 40);
            (last, count) = (event.number, count + 1);
        }
        let is_initial = value[..31].iter().all(|octet| *octet == value[30]);
        assert_eq!(last == 0, is_initial, "only what is measured changes a PCR");
    }
    assert!(50 * count <= len, "each event has a digest");
}
