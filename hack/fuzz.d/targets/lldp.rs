//! Frames of neighbors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metalprobe::lldp::Announcement;

fuzz_target!(|frame: &[u8]| {
    let Ok(said) = Announcement::parse(frame) else { return };
    // What is kept of a frame is bounded by the frame, whatever bytes are in it: a character that
    // stands for a broken byte takes three.
    assert!(format!("{said:?}").len() < 2_000 + 30 * frame.len());
});
