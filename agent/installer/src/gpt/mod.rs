//! The partition table of a disk image (GPT; UEFI 2.10, section 5.3), made to fit a larger disk.
//!
//! It is ours to parse because an image is not to be trusted: whatever its header says, no more than
//! the first MiB is looked at, and nothing is allocated by its word. Fields that we do not know stay as
//! they are.

mod field;
mod root;
mod write;

pub(crate) use root::esp;
pub use root::{ESP, Needs, root};

use crc32fast::hash;
use field::{u32_at, u64_at};

/// How much of a disk may contain a table, at either end.
pub const WINDOW: usize = 1 << 20;
/// Alignment of partitions, at which modern disks are fast.
const ALIGNMENT: u64 = 1 << 20;

const SIGNATURE: &[u8] = b"EFI PART";
/// Length of the defined fields of a header, in bytes.
const HEADER: usize = 92;
/// The largest number of entries, and the largest size of one.
const ENTRIES: usize = 1024;
const LARGEST_ENTRY: usize = 512;
/// The smallest size of an entry.
const ENTRY: usize = 128;

/// Why a disk image has no usable table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// There is none.
    #[error("the disk image has no GPT: is it a raw image of a whole disk?")]
    None,
    /// It is for sectors of another size.
    #[error("the disk image is for disks with sectors of {image} bytes, and this one has {disk}")]
    Sectors {
        /// Of the image.
        image: u64,
        /// Of the disk.
        disk: u64,
    },
    /// It is damaged, or unusual.
    #[error("the GPT of the disk image is damaged: {0}")]
    Damaged(&'static str),
    /// The disk is too small.
    #[error(
        "the disk is too small: the partitions of the disk image end at {needed} bytes, and its table needs {table} more"
    )]
    Small {
        /// Where the partitions end, in bytes.
        needed: u64,
        /// What the backup of the table needs, in bytes.
        table: u64,
    },
    /// No partition is a root file system.
    #[error("the disk image has no partition of a root file system: give it the type of one (GPT)")]
    NoRoot,
    /// No partition has a loader for UEFI.
    #[error("the disk image has no EFI system partition, and this machine boots by UEFI")]
    NoEsp,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Bytes of a sector.
    sector: u64,
    /// The primary header, as it was.
    header: Vec<u8>,
    entries: Vec<u8>,
    entry: usize,
    /// Sectors of the disk.
    sectors: u64,
    first_usable: u64,
    last_usable: u64,
}

/// A partition. Sectors count from 0, and both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its type, as it is stored.
    pub kind: [u8; 16],
    /// Its GUID, as it is stored.
    pub guid: [u8; 16],
    /// Its first sector.
    pub first: u64,
    /// Its last sector.
    pub last: u64,
}

impl Table {
    /// Reads the table in the first MiB of an image, for a disk with these sectors.
    ///
    /// # Errors
    ///
    /// If there is none that is whole, or the disk does not hold its partitions.
    pub fn read(head: &[u8], sector: u64, sectors: u64) -> Result<Self, GptError> {
        let header = header(head, sector)?;
        let lba = u64_at(header, 72);
        let count = u32_at(header, 80);
        let entry = u32_at(header, 84) as usize;
        if !(ENTRY..=LARGEST_ENTRY).contains(&entry) || !entry.is_multiple_of(ENTRY) {
            return Err(GptError::Damaged("the size of its entries"));
        }
        let count = usize::try_from(count).ok().filter(|count| (1..=ENTRIES).contains(count));
        let length = count.ok_or(GptError::Damaged("the number of its entries"))? * entry;
        let entries = lba
            .checked_mul(sector)
            .filter(|_| lba >= 2)
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| head.get(start..start.checked_add(length)?))
            .ok_or(GptError::Damaged("the place of its entries"))?;
        if hash(entries) != u32_at(header, 88) {
            return Err(GptError::Damaged("the checksum of its entries"));
        }
        let mut table = Self {
            sector,
            header: header.to_vec(),
            entries: entries.to_vec(),
            entry,
            sectors,
            first_usable: u64_at(header, 40),
            last_usable: u64_at(header, 48),
        };
        table.check()?;
        table.stretch()?;
        Ok(table)
    }

    /// The partitions, by number.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        let entries = (1..).zip(self.entries.chunks_exact(self.entry));
        entries.filter_map(|(number, entry)| {
            let part = |at: usize| field::guid_at(entry, at);
            let kind = part(0);
            let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
            (kind != [0; 16]).then(|| Partition { number, kind, guid: part(16), first, last })
        })
    }

    /// The same table with this partition alone.
    pub(crate) fn only(&self, number: u32) -> Self {
        let mut table = self.clone();
        for (at, entry) in (1..).zip(table.entries.chunks_exact_mut(self.entry)) {
            if at != number {
                entry.fill(0);
            }
        }
        table
    }

    /// Partitions lie where the table says that they may, in ascending order and apart.
    fn check(&self) -> Result<(), GptError> {
        let mut all: Vec<_> = self.partitions().map(|it| (it.first, it.last)).collect();
        all.sort_unstable();
        let mut free = self.first_usable;
        for (first, last) in all {
            if first < free || last < first || last > self.last_usable {
                return Err(GptError::Damaged("the place of its partitions"));
            }
            free = last.saturating_add(1);
        }
        Ok(())
    }

    /// Moves the end of the table to the end of the disk.
    fn stretch(&mut self) -> Result<(), GptError> {
        let table = (self.entries.len() as u64).div_ceil(self.sector) + 1;
        let end = self
            .partitions()
            .map(|it| it.last.saturating_add(1))
            .max()
            .unwrap_or(self.first_usable);
        self.last_usable = self
            .sectors
            .checked_sub(table + 1)
            .filter(|last| end <= last + 1 && self.first_usable <= *last)
            .ok_or(GptError::Small {
                needed: end.saturating_mul(self.sector),
                table: table * self.sector,
            })?;
        Ok(())
    }

    /// Lets the last partition end where the disk does, if it has a file system that can be grown;
    /// returns its number.
    pub fn grow(&mut self) -> Option<u32> {
        let last = self.partitions().max_by_key(|it| it.last)?;
        let step = ALIGNMENT / self.sector;
        let end = (self.last_usable + 1) / step * step;
        if !root::may_grow(&last) || end <= last.last + 1 {
            return None;
        }
        let at = (last.number as usize - 1) * self.entry + 40;
        self.entries.get_mut(at..at + 8)?.copy_from_slice(&(end - 1).to_le_bytes());
        Some(last.number)
    }
}

/// The primary header, if it is one, and whole.
fn header(head: &[u8], sector: u64) -> Result<&[u8], GptError> {
    let at = |sector: u64| {
        let start = usize::try_from(sector).ok()?;
        let found = head.get(start..start.checked_mul(2)?)?;
        found.starts_with(SIGNATURE).then_some(found)
    };
    let Some(found) = at(sector) else {
        let other = [512, 4096].into_iter().find(|other| at(*other).is_some());
        return Err(other.map_or(GptError::None, |image| GptError::Sectors { image, disk: sector }));
    };
    let length = u32_at(found, 12) as usize;
    let header = found.get(..length).filter(|_| length >= HEADER);
    let header = header.ok_or(GptError::Damaged("the size of its header"))?;
    if u32_at(header, 8) != 0x0001_0000 {
        return Err(GptError::Damaged("its version"));
    }
    if write::checksum(header) != u32_at(header, 16) {
        return Err(GptError::Damaged("the checksum of its header"));
    }
    if u64_at(header, 24) != 1 {
        return Err(GptError::Damaged("the place of its header"));
    }
    Ok(header)
}

#[cfg(test)]
mod tests;
