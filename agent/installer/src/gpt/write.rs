//! The bytes of a table at both ends of a disk.

use super::{Table, field::put};
use crc32fast::Hasher;

/// The first entry of the MBR, and bytes of each.
const MBR_ENTRIES: usize = 446;
const MBR_ENTRY: usize = 16;
/// What protects a GPT (UEFI 2.10, section 5.2.3).
const PROTECTIVE: u8 = 0xee;

impl Table {
    /// Writes the table into the first and the last MiB of the disk; either slice is that long.
    pub fn write(&self, head: &mut [u8], tail: &mut [u8]) {
        let last = self.sectors - 1;
        let lba = super::field::u64_at(&self.header, 72);
        let primary = self.header(1, last, lba);
        let backup = self.header(last, 1, self.last_usable + 1);
        let at = |lba: u64| usize::try_from(lba * self.sector).unwrap_or(usize::MAX);
        put(head, at(1), &primary);
        put(head, at(lba), &self.entries);
        self.protect(head);
        // Counted from the end.
        let (end, sector) = (tail.len(), at(1));
        let from_end = |lba: u64| end.saturating_sub(at(self.sectors - lba));
        tail[from_end(self.last_usable + 1)..].fill(0);
        put(tail, from_end(self.last_usable + 1), &self.entries);
        put(tail, end.saturating_sub(sector), &backup);
    }

    fn header(&self, own: u64, other: u64, entries: u64) -> Vec<u8> {
        let mut header = self.header.clone();
        for (at, value) in [(24, own), (32, other), (48, self.last_usable), (72, entries)] {
            put(&mut header, at, &value.to_le_bytes());
        }
        put(&mut header, 88, &crc32fast::hash(&self.entries).to_le_bytes());
        let sum = checksum(&header);
        put(&mut header, 16, &sum.to_le_bytes());
        header
    }

    /// Lets the protective partition of the MBR span the disk, where that is all that the MBR has.
    fn protect(&self, head: &mut [u8]) {
        let used = |entry: &&mut [u8]| entry[4] != 0;
        let Some(entries) = head.get_mut(MBR_ENTRIES..MBR_ENTRIES + 4 * MBR_ENTRY) else { return };
        let mut entries = entries.chunks_exact_mut(MBR_ENTRY).filter(used);
        if let (Some(only), None) = (entries.next(), entries.next())
            && only[4] == PROTECTIVE
        {
            let sectors = u32::try_from(self.sectors - 1).unwrap_or(u32::MAX);
            put(only, 12, &sectors.to_le_bytes());
        }
    }
}

/// The checksum of a header, in which its own field counts as 0.
pub(super) fn checksum(header: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    let (before, rest) = header.split_at(header.len().min(16));
    hasher.update(before);
    hasher.update(&[0; 4]);
    hasher.update(rest.get(4..).unwrap_or_default());
    hasher.finalize()
}
