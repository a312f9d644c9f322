use super::*;
use crate::fixture::{QEMU, Tree};

const V3: (u8, u8) = (3, 0);

#[test]
fn the_tables_of_a_virtual_machine_are_read() {
    let tree = Tree::unpack(QEMU);
    let folder = "/sys/firmware/dmi/tables";
    let entry = tree.root().bytes(&format!("{folder}/smbios_entry_point")).unwrap();
    let entry = EntryPoint::parse(&entry).unwrap();
    assert_eq!(entry.version, V3);
    let table = tree.root().bytes(&format!("{folder}/DMI")).unwrap();
    let (found, defect) = structures(&table, entry.length);
    assert_eq!(defect, None);
    let system = System::find(&found, entry.version).unwrap();
    assert_eq!(system.uuid, "38947555-7742-3448-3784-823347823834");
    assert_eq!((system.serial_number.as_str(), system.family.as_str()), ("SN-1", "Lab"));
    assert_eq!(Processor::find_all(&found).len(), 2);
    let memory = Memory::find_all(&found);
    assert_eq!((memory.len(), memory[0].size), (1, 512 << 20));
}

#[test]
fn a_table_cut_at_any_byte_keeps_the_structures_before_the_cut() {
    let table = [
        structure(1, &[1, 2, 0, 3], &["maker", "product", "serial"]),
        structure(2, &[0, 1], &["board"]),
        structure(17, &[0; 30], &[]),
    ]
    .concat();
    let whole = structures(&table, usize::MAX).0.len();
    for length in 0..table.len() {
        let (found, defect) = structures(&table[..length], usize::MAX);
        assert!(found.len() <= whole);
        let at_boundary = found.len() == structures(&table, length).0.len() && defect.is_none();
        assert!(at_boundary || defect.is_some(), "at {length}");
    }
}

#[test]
fn any_byte_may_be_wrong_without_a_panic() {
    let table = structure(17, &[0xff; 0x5c], &["slot"]);
    for position in 0..table.len() {
        for value in [0, 1, 3, 4, 0x7f, 0xff] {
            let mut broken = table.clone();
            broken[position] = value;
            let (found, _) = structures(&broken, usize::MAX);
            Memory::find_all(&found);
            Processor::find_all(&found);
            System::find(&found, V3);
        }
    }
}

#[test]
fn each_anchor_is_known_and_checked() {
    let mut legacy = *b"_DMI_\0\x34\x12\0\0\x0f\0\x05\0\x28";
    legacy[5] = checksum(&legacy);
    let read = EntryPoint::parse(&legacy);
    assert_eq!(read, Ok(EntryPoint { version: (2, 8), length: 0x1234 }));
    legacy[5] ^= 1;
    assert_eq!(EntryPoint::parse(&legacy), Err(SmbiosError::Checksum));

    let mut old = [0; 31];
    old[..8].copy_from_slice(b"_SM_\0\x1f\x02\x08");
    old[22] = 0x40;
    old[4] = checksum(&old);
    assert_eq!(EntryPoint::parse(&old), Ok(EntryPoint { version: (2, 8), length: 0x40 }));
    assert_eq!(EntryPoint::parse(&old[..30]), Err(SmbiosError::Truncated(0)));
    assert_eq!(EntryPoint::parse(b"garbage"), Err(SmbiosError::Anchor));
    assert_eq!(EntryPoint::parse(b"_SM3_"), Err(SmbiosError::Truncated(0)));
}

#[test]
fn memory_sizes_have_three_forms_and_two_absences() {
    let table: [(u16, u32, i64); 6] = [
        (0, 0, 0),
        (0xffff, 0, 0),
        (8192, 0, 8 << 30),
        (0x8000 | 512, 0, 512 << 10),
        (0x7fff, 65_536, 64 << 30),
        (0x7fff, 0x8000_0000 | 1_048_576, 1 << 40),
    ];
    for (size, extended, bytes) in table {
        let mut fields = [0; 0x5c - 4];
        fields[8..10].copy_from_slice(&size.to_le_bytes());
        fields[0x18..0x1c].copy_from_slice(&extended.to_le_bytes());
        let table = structure(17, &fields, &[]);
        let found = Memory::find_all(&structures(&table, usize::MAX).0);
        let expected = if bytes == 0 { vec![] } else { vec![bytes] };
        assert_eq!(found.iter().map(|memory| memory.size).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn memory_speeds_beyond_the_narrow_field_are_in_the_wide_one() {
    let mut fields = [0; 0x5c - 4];
    fields[8] = 1;
    fields[0x11..0x13].copy_from_slice(&[0xff; 2]);
    fields[0x1c..0x1e].copy_from_slice(&4800_u16.to_le_bytes());
    fields[0x50..0x54].copy_from_slice(&70_000_u32.to_le_bytes());
    let table = structure(17, &fields, &[]);
    let memory = Memory::find_all(&structures(&table, usize::MAX).0).remove(0);
    assert_eq!((memory.speed, memory.configured_speed), (70_000, 4800));
}

#[test]
fn an_older_structure_lacks_the_later_fields() {
    // SMBIOS 2.1: a memory device ends after its type.
    let table = structure(17, &[0, 0, 0, 0, 64, 0, 64, 0, 0, 4, 9, 0, 1, 0, 0x18, 0, 0], &["A1"]);
    let memory = Memory::find_all(&structures(&table, usize::MAX).0).remove(0);
    assert_eq!((memory.size, memory.kind, memory.speed), (1 << 30, "DDR3", 0));
    assert_eq!(memory.device_locator, "A1");
}

#[test]
fn the_uuid_is_mixed_endian_since_2_6_and_may_be_absent() {
    let uuid = |bytes: [u8; 16], version| {
        let fields = [&[0; 4][..], &bytes].concat();
        let table = structure(1, &fields, &[]);
        System::find(&structures(&table, usize::MAX).0, version).unwrap().uuid
    };
    let bytes = std::array::from_fn(|index| u8::try_from(index).unwrap());
    assert_eq!(uuid(bytes, V3), "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_eq!(uuid(bytes, (2, 5)), "00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!((uuid([0; 16], V3), uuid([0xff; 16], V3)), (String::new(), String::new()));
}

#[test]
fn empty_sockets_are_left_out_and_wide_counts_are_used() {
    let mut fields = [0; 0x30 - 4];
    fields[0x14] = 0x41;
    (fields[0x1f], fields[0x21]) = (0xff, 0xff);
    fields[0x26..0x28].copy_from_slice(&384_u16.to_le_bytes());
    fields[0x2a..0x2c].copy_from_slice(&768_u16.to_le_bytes());
    let full = structure(4, &fields, &[]);
    fields[0x14] = 0;
    let table = [full, structure(4, &fields, &[])].concat();
    let found = Processor::find_all(&structures(&table, usize::MAX).0);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].cores, found[0].threads), (384, 768));
}

/// A structure with the fields behind its header.
fn structure(kind: u8, fields: &[u8], strings: &[&str]) -> Vec<u8> {
    let length = u8::try_from(4 + fields.len()).unwrap();
    let mut bytes = [&[kind, length, 1, 0], fields].concat();
    for string in strings {
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    bytes.extend_from_slice(if strings.is_empty() { &[0, 0] } else { &[0] });
    bytes
}

/// What the zero at the checksum's place must become.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte))
}
