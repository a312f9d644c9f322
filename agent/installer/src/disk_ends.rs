//! The first and the last MiB of a disk, which decide what it boots. They are kept in memory until everything
//! else on the disk is as it is to be.
//!
//! ```text
//!   wiped ──► staged: the kernel finds one partition, and no firmware a loader ──► sealed: it boots
//! ```

use crate::{
    disk_writer::{SinkError, TargetDisk, fresh, same},
    gpt::{Partition, Table, WINDOW},
};
use std::os::unix::fs::FileExt;

/// Bytes of an MBR, and of the code in it.
const MBR: usize = 512;
const CODE: usize = 440;
/// Tells the BIOS to go on with the next disk, and stops where it does not (`int 18h`; `hlt`; `jmp`).
const BOOTS_NOTHING: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];
/// The only entry of an MBR that protects a GPT, but for its size (UEFI 2.10, section 5.2.3).
const PROTECTIVE: [u8; 12] = [0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0];
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// Both ends of a disk, as they are to be in the end.
#[derive(Debug)]
pub(crate) struct DiskEnds {
    head: Vec<u8>,
    tail: Vec<u8>,
    table: Table,
    /// Whether they are on the disk but for table and boot code: what is there counts then, as a partition
    /// may reach into them.
    is_staged: bool,
}

impl DiskEnds {
    /// The ends of an image that is on the disk but for them, with the table that fits to the disk.
    pub(crate) fn new(mut head: Vec<u8>, mut tail: Vec<u8>, table: Table) -> Self {
        table.write(&mut head, &mut tail);
        Self { head, tail, table, is_staged: false }
    }

    /// The partitions.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Lets the kernel find this partition and no other. The disk still boots nothing: neither is there an EFI
    /// system partition, nor code for a BIOS.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) fn stage(
        &mut self,
        place: TargetDisk<'_>,
        partition: &Partition,
    ) -> Result<(), SinkError> {
        let (mut head, mut tail) = (self.head.clone(), self.tail.clone());
        let mut mbr = [0; MBR];
        mbr[..BOOTS_NOTHING.len()].copy_from_slice(&BOOTS_NOTHING);
        mbr[CODE + 6..CODE + 18].copy_from_slice(&PROTECTIVE);
        mbr[MBR - 2..].copy_from_slice(&SIGNATURE);
        head[..MBR].copy_from_slice(&mbr);
        self.table.only(partition.number).write(&mut head, &mut tail);
        put(place, &head, &tail)?;
        self.is_staged = true;
        Ok(())
    }

    /// Writes table and boot code, the first MiB last, and reads them back. After this the disk boots.
    ///
    /// # Errors
    ///
    /// If the disk fails, or returns something else.
    pub(crate) fn seal(self, place: TargetDisk<'_>) -> Result<Table, SinkError> {
        let (mut head, mut tail) = (self.head, self.tail);
        if self.is_staged {
            let mbr = head[..MBR].to_vec();
            head = fresh(place.disk, 0, WINDOW)?;
            tail = fresh(place.disk, last(place), WINDOW)?;
            head[..MBR].copy_from_slice(&mbr);
            self.table.write(&mut head, &mut tail);
        }
        put(place, &head, &tail)?;
        Ok(self.table)
    }
}

/// Wipes both ends of a disk: nothing on it boots or is recognized any more.
///
/// # Errors
///
/// If the disk fails.
pub(crate) fn wipe(place: TargetDisk<'_>) -> Result<(), SinkError> {
    let nothing = vec![0; WINDOW];
    // The first one first: it is what boots.
    for at in [0, last(place)] {
        let wiped = place.disk.write_all_at(&nothing, at).and_then(|()| place.disk.sync_all());
        wiped.map_err(|error| SinkError::Disk("wiped", error))?;
    }
    Ok(())
}

fn put(place: TargetDisk<'_>, head: &[u8], tail: &[u8]) -> Result<(), SinkError> {
    for (at, end) in [(last(place), tail), (0, head)] {
        let written = place.disk.write_all_at(end, at).and_then(|()| place.disk.sync_all());
        written.map_err(|error| SinkError::Disk("written", error))?;
        same(place.disk, at, end)?;
    }
    Ok(())
}

fn last(place: TargetDisk<'_>) -> u64 {
    place.size - WINDOW as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gpt::{ESP, root},
        testing::{ESP_TYPE, Image, LINUX_TYPE, is_wiped, mib, sfdisk_says},
    };
    use std::fs;
    use tempfile::NamedTempFile;

    const SIZE: u64 = 32;

    /// An image whose root begins in the first MiB, with boot code, on a disk without its ends.
    fn written() -> (NamedTempFile, Image, DiskEnds) {
        let mut image = Image::new(4, &[(1, LINUX_TYPE, 64, 4095), (15, ESP_TYPE, 4096, 6143)]);
        image.bytes[64 * 512..6144 * 512].fill(7);
        let mut table = Table::read(image.head(), 512, mib(SIZE) / 512).unwrap();
        table.grow();
        let file = NamedTempFile::new().unwrap();
        let mut disk = image.on_a_disk(SIZE, &table);
        let end = disk.len() - WINDOW;
        let (head, tail) = (disk[..WINDOW].to_vec(), disk[end..].to_vec());
        disk[..WINDOW].fill(0);
        disk[end..].fill(0);
        fs::write(file.path(), disk).unwrap();
        (file, image, DiskEnds::new(head, tail, table))
    }

    fn place(file: &NamedTempFile) -> TargetDisk<'_> {
        TargetDisk { disk: file.as_file(), size: mib(SIZE), sector: 512 }
    }

    #[test]
    fn a_staged_disk_shows_its_root_and_boots_nothing() {
        let (file, image, mut ends) = written();
        let partition = root(ends.table(), "x86_64").unwrap();
        ends.stage(place(&file), &partition).unwrap();
        let disk = fs::read(file.path()).unwrap();
        let table = Table::read(&disk[..WINDOW], 512, mib(SIZE) / 512).unwrap();
        assert_eq!(table.partitions().collect::<Vec<_>>(), [partition]);
        assert!(disk.starts_with(&BOOTS_NOTHING) && disk[5..446] == [0; 441]);
        assert!(disk[64 * 512..4096 * 512] == image.bytes[64 * 512..4096 * 512], "its content");
        sfdisk_says(&disk, |said| assert!(said.contains("No errors detected"), "{said}"));
    }

    #[test]
    fn what_was_written_to_a_partition_meanwhile_is_not_undone() {
        let (file, image, mut ends) = written();
        let partition = root(ends.table(), "x86_64").unwrap();
        ends.stage(place(&file), &partition).unwrap();
        file.as_file().write_all_at(b"seed", partition.first * 512).unwrap();
        let table = ends.seal(place(&file)).unwrap();
        let disk = fs::read(file.path()).unwrap();
        let mut expected = image.on_a_disk(SIZE, &table);
        let at = usize::try_from(partition.first * 512).unwrap();
        expected[at..at + 4].copy_from_slice(b"seed");
        assert!(disk == expected);
        assert!(table.partitions().any(|it| it.kind == ESP));
        sfdisk_says(&disk, |said| assert!(said.contains("No errors detected"), "{said}"));
    }

    #[test]
    fn without_a_stage_both_ends_are_written_whole_and_can_be_wiped() {
        let (file, image, ends) = written();
        let table = ends.seal(place(&file)).unwrap();
        assert!(fs::read(file.path()).unwrap() == image.on_a_disk(SIZE, &table));
        wipe(place(&file)).unwrap();
        let disk = fs::read(file.path()).unwrap();
        assert!(is_wiped(&disk[..WINDOW]) && is_wiped(&disk[disk.len() - WINDOW..]));
    }
}
