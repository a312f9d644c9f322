//! ISO 9660 (ECMA-119), El Torito 1.0 with UEFI's entry (UEFI 2.10, 13.3.2.1), and an MBR.

use super::LABEL;

/// Sector size of a CD.
const SECTOR: usize = 2048;
/// Disk sectors per CD sector.
const BLOCKS: u32 = 4;
/// Start of the file system, in sectors.
const FAT_AT: u32 = 23;
const CATALOG_AT: u32 = 19;
const PATHS_LITTLE_AT: u32 = 20;
const PATHS_BIG_AT: u32 = 21;
const ROOT_AT: u32 = 22;
/// Bytes before the file system.
pub(super) const HEAD: u64 = FAT_AT as u64 * SECTOR as u64;
/// EFI system partition.
const PARTITION: u8 = 0xef;
/// The file that the file system is.
const FILE: &[u8] = b"ESP.IMG;1";

/// Everything before a file system of this size.
pub(super) fn head(fat: u64) -> Vec<u8> {
    let bytes = u32::try_from(fat).unwrap_or(u32::MAX);
    let sectors = bytes.div_ceil(2048);
    let mut head = vec![0; FAT_AT as usize * SECTOR];
    let mut put = |sector: u32, content: &[u8]| {
        let at = sector as usize * SECTOR;
        head[at..at + content.len()].copy_from_slice(content);
    };
    put(0, &mbr(sectors * BLOCKS));
    put(16, &primary(FAT_AT + sectors));
    put(17, &boot_record());
    put(18, b"\xffCD001\x01");
    put(CATALOG_AT, &catalog(sectors * BLOCKS));
    put(PATHS_LITTLE_AT, &path_table(ROOT_AT.to_le_bytes(), 1_u16.to_le_bytes()));
    put(PATHS_BIG_AT, &path_table(ROOT_AT.to_be_bytes(), 1_u16.to_be_bytes()));
    let root = sector_length();
    let entries = [
        record(&[0], ROOT_AT, root, true),
        record(&[1], ROOT_AT, root, true),
        record(FILE, FAT_AT, bytes, false),
    ];
    put(ROOT_AT, &entries.concat());
    head
}

/// One partition, for firmware that sees a disk.
fn mbr(blocks: u32) -> Vec<u8> {
    let mut mbr = vec![0; 512];
    let entry = [0x00, 0xfe, 0xff, 0xff, PARTITION, 0xfe, 0xff, 0xff];
    mbr[446..454].copy_from_slice(&entry);
    mbr[454..458].copy_from_slice(&(FAT_AT * BLOCKS).to_le_bytes());
    mbr[458..462].copy_from_slice(&blocks.to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    mbr
}

/// Primary volume descriptor (ECMA-119, 8.4).
fn primary(sectors: u32) -> Vec<u8> {
    let mut text = b"\x01CD001\x01\0".to_vec();
    text.extend(padded("", 32));
    text.extend(padded(LABEL, 32));
    text.extend([0; 8]);
    text.extend(both32(sectors));
    text.extend([0; 32]);
    for number in [1, 1, 2048] {
        text.extend(both16(number));
    }
    text.extend(both32(10));
    text.extend(PATHS_LITTLE_AT.to_le_bytes());
    text.extend([0; 4]);
    text.extend(PATHS_BIG_AT.to_be_bytes());
    text.extend([0; 4]);
    text.extend(record(&[0], ROOT_AT, sector_length(), true));
    text.extend(padded("", 4 * 128 + 3 * 37));
    for _ in 0..4 {
        // No date.
        text.extend([b'0'; 16]);
        text.push(0);
    }
    text.extend([1, 0]);
    text
}

fn boot_record() -> Vec<u8> {
    let mut record = b"\0CD001\x01".to_vec();
    record.extend(b"EL TORITO SPECIFICATION");
    record.resize(71, 0);
    record.extend(CATALOG_AT.to_le_bytes());
    record
}

/// Validation entry, and the only boot entry, which is for UEFI.
fn catalog(blocks: u32) -> Vec<u8> {
    let mut catalog = vec![0; 64];
    catalog[0] = 1;
    catalog[1] = PARTITION;
    catalog[30..32].copy_from_slice(&[0x55, 0xaa]);
    let words = catalog[..32].as_chunks::<2>().0.iter();
    let sum = words.fold(0_u16, |sum, word| sum.wrapping_add(u16::from_le_bytes(*word)));
    catalog[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    catalog[32] = 0x88;
    // If the field is too small for the number, 0 means up to the end of the medium.
    let blocks = u16::try_from(blocks).unwrap_or_default();
    catalog[38..40].copy_from_slice(&blocks.to_le_bytes());
    catalog[40..44].copy_from_slice(&FAT_AT.to_le_bytes());
    catalog
}

/// The root only (ECMA-119, 9.4).
fn path_table(at: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0], at.as_slice(), &parent, &[0, 0]].concat()
}

/// Directory record (ECMA-119, 9.1).
fn record(name: &[u8], at: u32, bytes: u32, is_folder: bool) -> Vec<u8> {
    let length = (33 + name.len()).next_multiple_of(2);
    let mut record = vec![u8::try_from(length).unwrap_or_default(), 0];
    record.extend(both32(at));
    record.extend(both32(bytes));
    // 1980, as in FAT.
    record.extend([80, 1, 1, 0, 0, 0, 0]);
    record.extend([if is_folder { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(u8::try_from(name.len()).unwrap_or_default());
    record.extend(name);
    record.resize(length, 0);
    record
}

fn sector_length() -> u32 {
    u32::try_from(SECTOR).unwrap_or_default()
}

fn padded(text: &str, length: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(length, b' ');
    bytes
}

fn both16(number: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (number.to_le_bytes(), number.to_be_bytes());
    [a, b, c, d]
}

fn both32(number: u32) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}
