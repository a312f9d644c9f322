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
    let sent = gzip(&body, *first);
    for name in ["", "gzip"] {
        assert_eq!(decode(name, &sent, LIMIT), Some(Ok(whole.clone())));
    }
    let zlib = compress_to_vec_zlib(&body, first % 3);
    assert_eq!(decode("deflate", &zlib, LIMIT), Some(Ok(whole)));
});

/// A body as RFC 1952 has it, with a header of any form.
fn gzip(body: &[u8], flags: u8) -> Vec<u8> {
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
    sent.extend(compress_to_vec(body, 1));
    sent.extend([0; 8]);
    sent
}
