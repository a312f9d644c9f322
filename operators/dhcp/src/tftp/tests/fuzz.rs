//! Random and mutated packets: nothing panics, and the server stays within its limits.
//!
//! `BLOOMERY_FUZZ_RUNS` sets the number of runs; a failure names its seed.

use super::{simulation::SeededRng, *};
use crate::config::Config;
use metal_core::boot::decision::Boot;

/// As captured from OVMF 2022.11 and 2025.02, iPXE, atftp and curl.
fn corpus() -> Vec<Vec<u8>> {
    let edk2 = [("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")];
    let ipxe = [("blksize", "1432"), ("tsize", "0"), ("multicast", "")];
    let mut corpus = vec![
        request_for("snponly.efi", "octet", &edk2),
        request_for("snponly.efi", "octet", &edk2[1..]),
        request_for("/undionly.kpxe", "octet", &ipxe),
        request_for("..\\..//etc/passwd", "netascii", &[("timeout", "255")]),
        b"\0\x02a\0octet\0".to_vec(),
        b"\0\x05\0\x08User aborted the transfer\0".to_vec(),
        b"\0\x03\0\x01data".to_vec(),
        b"\0\x06blksize\x001468\0".to_vec(),
    ];
    corpus.extend((0..20).map(|block| vec![0, 4, 0, block]));
    corpus
}

fn mutate(dice: &mut SeededRng, bytes: &mut Vec<u8>) {
    for _ in 0..dice.roll(6) {
        let at = usize::try_from(dice.roll(bytes.len() as u64 + 1)).unwrap();
        #[expect(clippy::cast_possible_truncation, reason = "less than 256")]
        let byte = dice.roll(256) as u8;
        match dice.roll(5) {
            0 => bytes.insert(at, byte),
            1 => bytes.truncate(at),
            2 => bytes.extend(std::iter::repeat_n(byte, at)),
            _ if at < bytes.len() => bytes[at] = byte,
            _ => bytes.push(byte),
        }
    }
}

/// Feeds one packet to everything that may see it.
fn feed(dice: &mut SeededRng, config: &Config, transfer: &mut Transfer, bytes: &[u8]) {
    let Ok(packet) = Packet::decode(bytes) else { return };
    if let Packet::Read(request) = &packet {
        let here = std::net::IpAddr::from([10, 77, 0, 2]);
        let folder = Folder::of(config).unwrap();
        if let Ok(path) = folder.served(request, here, &Boot::Default) {
            assert!(["undionly.kpxe", "snponly.efi"].contains(&&*path), "{path}");
        }
        let terms = Terms::new(request, dice.roll(1 << 40), Limits::default());
        assert!((8..=1468).contains(&terms.blksize), "{terms:?}");
        assert!((1..=64).contains(&terms.windowsize), "{terms:?}");
        assert!((1..=10).contains(&terms.timeout.as_secs()), "{terms:?}");
        assert!(terms.oack.as_ref().is_none_or(|oack| oack.len() <= MAX_REQUEST), "{terms:?}");
        *transfer = Transfer::new(&terms);
        check(&transfer.begin());
    }
    check(&transfer.receive(&packet));
    if dice.roll(8) == 0 {
        check(&transfer.expire());
    }
}

fn check(step: &Step) {
    if let Step::Send(window) = step {
        assert!(window.end() - window.start() < 64, "{window:?}");
        assert!(*window.start() > 0, "{window:?}");
    }
}

#[test]
fn no_packet_makes_the_server_panic_or_leave_its_bounds() {
    let runs = std::env::var("BLOOMERY_FUZZ_RUNS").ok();
    let runs: u64 = runs.map_or(50_000, |runs| runs.parse().unwrap());
    let config = "interfaces: [eth1]\nsubnets: []\n\
                  boot: { bios: undionly.kpxe, uefi: /snponly.efi }\ntftp: { root: /srv }\n";
    let config = Config::parse(config).unwrap();
    let corpus = corpus();
    let mut transfer = transfer(64, 1000);
    for seed in 0..runs {
        let mut dice = SeededRng(seed);
        let pick = usize::try_from(dice.roll(corpus.len() as u64)).unwrap();
        let mut bytes = corpus[pick].clone();
        mutate(&mut dice, &mut bytes);
        feed(&mut dice, &config, &mut transfer, &bytes);
    }
}
