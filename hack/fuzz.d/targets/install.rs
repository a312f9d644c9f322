//! What an installer reads of the network: orders, checksums, and the partition table of a disk image.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_installer::{
    checksum,
    gpt::{Table, WINDOW, root},
    install_json,
};

/// Sectors of the disk.
const SECTORS: u64 = 1 << 20;

// The first byte says what it is. Of a table, its checksums are made right: no stranger is kept out by them.
fuzz_target!(|input: &[u8]| {
    match input.split_first() {
        Some((b'0', document)) => match install_json::read(document) {
            Ok(order) => {
                for path in [&order.image, &order.checksums] {
                    assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')));
                }
            }
            Err(error) => told(&error.to_string(), 300),
        },
        Some((b'1', list)) => {
            if let Err(error) = checksum::find(list, "disk.img") {
                told(&error.to_string(), 200);
            }
        }
        Some((_, rest)) => table(rest),
        None => {}
    }
});

/// A header, and entries behind it.
fn table(input: &[u8]) {
    let (header, entries) = input.split_at(input.len().min(92));
    let mut head = vec![0; WINDOW];
    head[512..512 + header.len()].copy_from_slice(header);
    head[512..524].copy_from_slice(b"EFI PART\0\0\x01\0");
    head[1024..1024 + entries.len()].copy_from_slice(entries);
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = (number(512 + 80) as usize).saturating_mul(number(512 + 84) as usize);
    let sum = head.get(1024..1024_usize.saturating_add(length)).map(crc32fast::hash);
    head[512 + 12..512 + 16].copy_from_slice(&92_u32.to_le_bytes());
    head[512 + 88..512 + 92].copy_from_slice(&sum.unwrap_or(0).to_le_bytes());
    head[512 + 16..512 + 20].fill(0);
    let sum = crc32fast::hash(&head[512..512 + 92]);
    head[512 + 16..512 + 20].copy_from_slice(&sum.to_le_bytes());
    match Table::read(&head, 512, SECTORS) {
        Ok(mut table) => {
            table.grow();
            let mut tail = vec![0; WINDOW];
            table.write(&mut head, &mut tail);
            // What was written is read again, and says the same.
            let again = Table::read(&head, 512, SECTORS).expect("our own table");
            assert!(again.partitions().eq(table.partitions()));
            assert!(again.partitions().all(|it| it.first <= it.last && it.last < SECTORS));
            root(&again, "x86_64").ok();
        }
        Err(error) => told(&error.to_string(), 200),
    }
}
