//! Compressed bodies: what comes out is bounded, and is what went in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_bmc::fuzzing::decode;
use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

const LIMIT: usize = 3000;
const NAMES: [&str; 4] = ["gzip", "deflate", "GZIP ", "identity"];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    for name in NAMES {
        if let Some(Ok(Some(body))) = decode(name, rest, LIMIT) {
            assert!(body.len() <= LIMIT);
        }
    }
    // A run, so that there is something to compress, and so that some are too long.
    let body = [rest, &vec![*first; usize::from(*first) * 13]].concat();
    let whole = (body.len() <= LIMIT).then(|| body.clone());
    // Compressing is what takes the time, by far.
    let level = first % 16;
    let sent = gzip(&body, *first, level);
    for name in ["", "gzip"] {
        assert_eq!(decode(name, &sent, LIMIT), Some(Ok(whole.clone())));
    }
    if level < 3 {
        let zlib = compress_to_vec_zlib(&body, level);
        assert_eq!(decode("deflate", &zlib, LIMIT), Some(Ok(whole)));
    }
});

/// A body as RFC 1952 has it, with a header of any form.
fn gzip(body: &[u8], flags: u8, level: u8) -> Vec<u8> {
    let flags = flags & 0b11110;
    let mut sent = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
    if flags & 4 != 0 {
        sent.extend([5, 0, 0, 1, 2, 3, 0]);
    }
    if flags & 8 != 0 {
        sent.extend(b"name\0");
    }
    if flags & 16 != 0 {
        sent.extend(b"\0");
    }
    if flags & 2 != 0 {
        sent.extend([0, 0]);
    }
    match level {
        0..3 => sent.extend(compress_to_vec(body, level)),
        _ => stored(body, &mut sent),
    }
    sent.extend([0; 8]);
    sent
}

/// Blocks that are not compressed (RFC 1951, 3.2.4).
fn stored(body: &[u8], sent: &mut Vec<u8>) {
    let size = u16::try_from(body.len()).expect("an input and a run of 3,315 bytes");
    sent.push(1);
    sent.extend(size.to_le_bytes());
    sent.extend((!size).to_le_bytes());
    sent.extend(body);
}
