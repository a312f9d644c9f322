use super::*;
use crate::testing::{Image, LINUX_TYPE, mib, sfdisk_says};

const SECTOR: u64 = 512;

#[test]
fn a_table_is_read_and_its_partitions_are_found() {
    let image = image();
    let table = Table::read(image.head(), SECTOR, sectors(64)).unwrap();
    let parts: Vec<_> = table.partitions().map(|it| (it.number, it.first, it.last)).collect();
    assert_eq!(parts, [(1, 8192, 16383), (14, 2048, 4095), (15, 4096, 8191)]);
    assert_eq!(root(&table, "x86_64").unwrap().number, 1);
}

#[test]
fn both_tables_are_written_and_the_last_partition_grows() {
    let image = image();
    for (size, grown) in [(9, None), (10, Some(1)), (64, Some(1)), (4096, Some(1))] {
        let mut table = Table::read(image.head(), SECTOR, sectors(size)).unwrap();
        assert_eq!(table.grow(), grown, "{size} MiB");
        let disk = image.on_a_disk(size, &table);
        // The one at the end says the same, seen from there.
        let again = Table::read(&disk[..WINDOW], SECTOR, sectors(size)).unwrap();
        assert_eq!(again.partitions().collect::<Vec<_>>(), table.partitions().collect::<Vec<_>>());
        let end = again.partitions().map(|it| it.last).max().unwrap();
        // The end of the last whole MiB before the backup.
        assert_eq!(end, if grown.is_some() { (size - 1) * 2048 - 1 } else { 16383 }, "{size} MiB");
        let backup = &disk[disk.len() - 512..];
        let primary = &disk[512..1024];
        for (at, length, what) in [
            (0, 16, "start"),
            (40, 8, "first"),
            (48, 8, "last"),
            (56, 16, "guid"),
            (80, 12, "entries"),
        ] {
            assert_eq!(backup[at..at + length], primary[at..at + length], "{what}");
        }
        let field = |header: &[u8], at| u64_at(header, at);
        assert_eq!((field(primary, 24), field(primary, 32)), (1, sectors(size) - 1));
        assert_eq!((field(backup, 24), field(backup, 32)), (sectors(size) - 1, 1));
        assert_eq!(field(backup, 72), sectors(size) - 33);
        assert_eq!(write::checksum(&backup[..92]), u32_at(backup, 16));
        assert_eq!(disk[disk.len() - 33 * 512..disk.len() - 512], disk[1024..1024 + 32 * 512]);
        sfdisk_says(&disk, |said| assert!(said.contains("No errors detected"), "{size}: {said}"));
    }
}

#[test]
fn all_that_is_not_the_tables_stays() {
    let image = image();
    let mut table = Table::read(image.head(), SECTOR, sectors(64)).unwrap();
    table.grow();
    let disk = image.on_a_disk(64, &table);
    let before = image.head();
    // Code of the MBR, and all behind the entries.
    assert_eq!(disk[..446], before[..446]);
    assert_eq!(disk[1024 + 128 * 128..WINDOW], before[1024 + 128 * 128..WINDOW]);
    // The protective partition spans the disk.
    assert_eq!(disk[446..458], before[446..458]);
    assert_eq!(disk[458..462], u32::try_from(sectors(64) - 1).unwrap().to_le_bytes());
    // Of the entries, only the end of the last partition.
    let differ: Vec<_> = (1024..1024 + 128 * 128).filter(|at| disk[*at] != before[*at]).collect();
    assert!(differ.iter().all(|at| (1024 + 40..1024 + 48).contains(at)), "{differ:?}");
    assert_eq!(disk[disk.len() - WINDOW..disk.len() - 33 * 512], vec![0; WINDOW - 33 * 512]);
}

#[test]
fn an_mbr_with_partitions_of_its_own_stays() {
    let mut image = image();
    image.bytes[462 + 4] = 0x83;
    let table = Table::read(image.head(), SECTOR, sectors(64)).unwrap();
    let disk = image.on_a_disk(64, &table);
    assert_eq!(disk[..512], image.head()[..512]);
}

#[test]
fn a_last_partition_without_a_file_system_does_not_grow() {
    let swap = 0x0657_fd6d_a4ab_43c4_84e5_0933_c84b_4f4f_u128;
    for (kind, grows) in
        [(LINUX_TYPE, true), (0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709, true), (swap, false)]
    {
        let image = Image::new(8, &[(1, kind, 2048, 4095)]);
        let mut table = Table::read(image.head(), SECTOR, sectors(64)).unwrap();
        assert_eq!(table.grow().is_some(), grows, "{kind:x}");
    }
}

#[test]
fn the_root_is_found_by_its_type_else_by_its_size() {
    let (x86, arm) =
        (0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709, 0xb921_b045_1df0_41c3_af44_4c6f_280d_3fae);
    for (parts, arch, expected) in [
        (vec![(1, LINUX_TYPE, 2048, 9999), (2, x86, 10_000, 10_001)], "x86_64", Some(2)),
        (vec![(1, LINUX_TYPE, 2048, 9999), (2, x86, 10_000, 10_001)], "aarch64", Some(1)),
        (vec![(1, LINUX_TYPE, 2048, 9999), (2, arm, 10_000, 10_001)], "aarch64", Some(2)),
        (vec![(1, LINUX_TYPE, 2048, 2049), (2, LINUX_TYPE, 4096, 9999)], "x86_64", Some(2)),
        (vec![(7, LINUX_TYPE, 2048, 2049), (3, LINUX_TYPE, 4096, 4097)], "x86_64", Some(3)),
        (vec![(1, arm, 2048, 2049)], "x86_64", None),
        (vec![], "x86_64", None),
    ] {
        let image = Image::new(8, &parts);
        let table = Table::read(image.head(), SECTOR, sectors(64)).unwrap();
        assert_eq!(root(&table, arch).map(|it| it.number).ok(), expected, "{parts:?}");
    }
}

#[test]
fn a_disk_that_is_too_small_is_refused_with_the_size_it_needs() {
    let image = Image::new(8, &[(1, LINUX_TYPE, 2048, 14_335)]);
    let end = 14_336;
    for sectors in [0, 1, 34, end, end + 32, end + 33] {
        let read = Table::read(image.head(), SECTOR, sectors);
        let fits = sectors >= end + 33;
        assert_eq!(read.is_ok(), fits, "{sectors}");
        if !fits {
            assert_eq!(read, Err(GptError::Small { needed: end * 512, table: 33 * 512 }));
        }
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let good = image();
    let read = |image: &Image| Table::read(image.head(), SECTOR, sectors(64));
    for at in [512 + 12, 512 + 16, 512 + 24, 512 + 80, 512 + 90, 1024 + 32, 1024 + 16_000] {
        let mut image = good.clone();
        image.bytes[at] ^= 1;
        assert!(matches!(read(&image), Err(GptError::Damaged(_))), "{at}: {:?}", read(&image));
    }
    assert_eq!(read(&Image { bytes: vec![0; WINDOW] }), Err(GptError::None));
    assert_eq!(read(&Image { bytes: vec![] }), Err(GptError::None));
    let other = Table::read(good.head(), 4096, sectors(64) / 8);
    assert_eq!(other, Err(GptError::Sectors { image: 512, disk: 4096 }));
}

#[test]
fn a_header_whose_checksum_is_right_still_bounds_nothing_by_its_word() {
    let values = [
        0,
        1,
        2,
        127,
        129,
        1024,
        1025,
        u64::from(u32::MAX),
        u64::MAX / 512,
        u64::MAX - 1,
        u64::MAX,
    ];
    for (at, length) in [(12, 4), (24, 8), (32, 8), (40, 8), (48, 8), (72, 8), (80, 4), (84, 4)] {
        for value in values {
            let mut image = image();
            image.bytes[512 + at..512 + at + length]
                .copy_from_slice(&value.to_le_bytes()[..length]);
            image.seal();
            if let Ok(mut table) = Table::read(image.head(), SECTOR, sectors(16)) {
                table.grow();
                image.on_a_disk(16, &table);
            }
        }
    }
}

#[test]
fn partitions_that_overlap_or_lie_outside_are_refused() {
    for parts in [
        vec![(1, LINUX_TYPE, 2048, 4095), (2, LINUX_TYPE, 4095, 5000)],
        vec![(1, LINUX_TYPE, 4096, 4095)],
        vec![(1, LINUX_TYPE, 0, 4095)],
        vec![(1, LINUX_TYPE, 2048, u64::MAX)],
        vec![(1, LINUX_TYPE, 2048, 16_384)],
    ] {
        let image = Image::new(8, &parts);
        let read = Table::read(image.head(), SECTOR, sectors(64));
        assert_eq!(read, Err(GptError::Damaged("the place of its partitions")), "{parts:?}");
    }
}

#[test]
fn sectors_of_four_kib_work_as_well() {
    let image = Image::with_sectors(16, 4096, &[(1, LINUX_TYPE, 256, 1023)]);
    let mut table = Table::read(image.head(), 4096, mib(64) / 4096).unwrap();
    assert_eq!(table.grow(), Some(1));
    assert_eq!(table.partitions().next().unwrap().last, 63 * 256 - 1);
}

/// Root last, as images of Debian have it.
fn image() -> Image {
    let bios = 0x2168_6148_6449_6e6f_744e_6565_6445_4649;
    let esp = 0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b;
    Image::new(9, &[(1, LINUX_TYPE, 8192, 16_383), (14, bios, 2048, 4095), (15, esp, 4096, 8191)])
}

fn sectors(size: u64) -> u64 {
    mib(size) / SECTOR
}
