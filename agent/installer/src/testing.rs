//! Disk images for tests.

use crate::gpt::{Table, WINDOW};
use std::{fs, process::Command};
use uuid::Uuid;

pub(crate) const LINUX_TYPE: u128 = 0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4;

pub(crate) const ESP_TYPE: u128 = 0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b;

/// Number, type, first and last sector.
pub(crate) type Part = (usize, u128, u64, u64);

pub(crate) fn mib(count: u64) -> u64 {
    count << 20
}

/// So many bytes, none of which is 0.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (1..=251).collect();
    bytes.repeat(length / bytes.len() + 1)[..length].to_vec()
}

/// Whether there is nothing but zeros.
pub(crate) fn is_wiped(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes == vec![0; bytes.len()]
}

/// A raw image with a GPT.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) bytes: Vec<u8>,
}

impl Image {
    /// An image of so many MiB, in sectors of 512 bytes. Nothing but its partitions is not 0.
    pub(crate) fn new(size: u64, parts: &[Part]) -> Self {
        Self::with_sectors(size, 512, parts)
    }

    pub(crate) fn with_sectors(size: u64, sector: usize, parts: &[Part]) -> Self {
        let mut bytes = vec![0; usize::try_from(mib(size)).unwrap()];
        let sectors = (bytes.len() / sector) as u64;
        bytes[..446].fill(0x90);
        let size = u32::try_from(sectors - 1).unwrap().to_le_bytes();
        bytes[446..458].copy_from_slice(&[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
        bytes[458..462].copy_from_slice(&size);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let first = 2 + (128 * 128 / sector) as u64;
        for (number, kind, first, last) in parts {
            let at = 2 * sector + (number - 1) * 128;
            bytes[at..at + 16].copy_from_slice(&Uuid::from_u128(*kind).to_bytes_le());
            bytes[at + 16..at + 32].fill(u8::try_from(*number).unwrap());
            bytes[at + 32..at + 40].copy_from_slice(&first.to_le_bytes());
            bytes[at + 40..at + 48].copy_from_slice(&last.to_le_bytes());
        }
        let header = &mut bytes[sector..sector + 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (at, value) in [(24, 1), (32, sectors - 1), (40, first), (48, sectors - first), (72, 2)]
        {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].fill(7);
        header[80..88].copy_from_slice(&[128, 0, 0, 0, 128, 0, 0, 0]);
        let mut image = Self { bytes };
        image.seal_at(sector);
        image
    }

    /// Makes the checksums right.
    pub(crate) fn seal(&mut self) {
        self.seal_at(512);
    }

    fn seal_at(&mut self, sector: usize) {
        let sum = crc32fast::hash(&self.bytes[2 * sector..2 * sector + 128 * 128]);
        let header = &mut self.bytes[sector..sector + 92];
        header[88..92].copy_from_slice(&sum.to_le_bytes());
        header[16..20].fill(0);
        let sum = crc32fast::hash(header);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(WINDOW)]
    }

    /// The image on a disk of so many MiB, with this table.
    pub(crate) fn on_a_disk(&self, size: u64, table: &Table) -> Vec<u8> {
        let mut disk = self.bytes.clone();
        disk.resize(usize::try_from(mib(size)).unwrap().max(2 * WINDOW), 0);
        let (head, rest) = disk.split_at_mut(WINDOW);
        let at = rest.len() - WINDOW;
        table.write(head, &mut rest[at..]);
        disk
    }
}

/// What `sfdisk --verify` says of a disk.
pub(crate) fn sfdisk_says(disk: &[u8], check: impl FnOnce(&str)) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), disk).unwrap();
    let said = Command::new("/sbin/sfdisk").arg("--verify").arg(file.path()).output();
    let said = said.expect("sfdisk is missing: hack/prepare unit");
    check(&String::from_utf8_lossy(&[said.stdout, said.stderr].concat()));
}
