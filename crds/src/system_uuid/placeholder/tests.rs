use super::*;
use std::hash::{DefaultHasher, Hash, Hasher};

fn of(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn text(text: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*text)
}

#[test]
fn what_many_boards_share_is_no_identity_in_either_byte_order() {
    let shared = [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "ffffff00-ffff-ffff-ffff-ffffffffffff",
        "03000200-0400-0500-0006-000700080009",
        "00020003-0004-0005-0006-000700080009",
        "12345678-1234-5678-90ab-cddeefaabbcc",
        "12345678-1234-1234-1234-123456789abc",
        "12345678-90ab-cdef-1234-567890abcdef",
        "12345678-1234-5678-1234-567812345678",
        "01234567-89ab-cdef-0123-456789abcdef",
        "00112233-4455-6677-8899-aabbccddeeff",
        "ffeeddcc-bbaa-9988-7766-554433221100",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "01020304-0506-0708-090a-0b0c0d0e0f10",
        "fefefefe-fefe-fefe-fefe-fefefefefefe",
        "01010101-0101-0101-0101-010101010101",
        "11111111-1111-1111-1111-111111111111",
        "20202020-2020-2020-2020-202020202020",
        "88888888-8888-8888-8888-878888888888",
        "deadbeef-dead-beef-dead-beefdeadbeef",
        "55aa55aa-55aa-55aa-55aa-55aa55aa55aa",
        "4c4c4544-0000-2010-8020-80c04f202020",
        "6ab5b300-538d-1014-9fb5-b0684d007b53",
    ];
    for uuid in shared.map(of) {
        assert!(is_placeholder(uuid), "{uuid}");
        assert!(is_placeholder(swapped(uuid)), "{uuid}");
    }
}

/// Refused by osquery, BSD's hostid, GLPI, FOG and the agents of several manufacturers.
#[test]
fn every_uuid_of_public_lists_is_no_identity() {
    let listed = [
        "00000000-0000-0000-0000-000000000000",
        "00020003-0004-0005-0006-000700080009",
        "01234567-8910-1112-1314-151617181920",
        "03000200-0400-0500-0006-000700080009",
        "03020100-0504-0706-0809-0a0b0c0d0e0f",
        "07090201-0103-0301-0807-060504030201",
        "10000000-0000-8000-0040-000000000000",
        "11111111-1111-1111-1111-111111111111",
        "11111111-2222-3333-4444-555555555555",
        "12345678-1234-1234-1234-123456789012",
        "4c4c4544-0000-2010-8020-80c04f202020",
        "4c4c4544-0020-2010-8020-80c04f202020",
        "4c4c4544-0020-2010-8020-a0c04f202020",
        "50fb9712-ffff-ffff-ffff-ffffffffffff",
        "52309712-ffff-ffff-ffff-ffffffffffff",
        "56f49712-ffff-ffff-ffff-ffffffffffff",
        "58585858-5858-5858-5858-585858585858",
        "61f39712-ffff-ffff-ffff-ffffffffffff",
        "890e2d14-cacd-45d1-ae66-bc80e8bfeb0f",
        "8e275844-178f-44a8-aceb-a7d7e5178c63",
        "93309712-ffff-ffff-ffff-ffffffffffff",
        "dc698397-fa54-4cf2-82c8-b1b5307a6a7f",
        "fefefefe-fefe-fefe-fefe-fefefefefefe",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ];
    for uuid in listed.map(of) {
        assert!(is_placeholder(uuid), "{uuid}");
        assert!(is_placeholder(swapped(uuid)), "{uuid}");
    }
}

#[test]
fn a_pattern_is_no_identity_however_it_goes_on() {
    let patterns = [
        // Zeros and ones with a version and a variant.
        "00000000-0000-1000-8000-000000000000",
        "00000000-0000-4000-8000-000000000000",
        "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "ffffffff-ffff-1fff-8fff-ffffffffffff",
        // Filled in only in part.
        "12345678-0000-0000-0000-000000000000",
        "deadbeef-0000-0000-0000-000000000000",
        "0badcafe-1234-ffff-ffff-ffffffffffff",
        "01020304-0506-0708-0900-000000000000",
        "10203040-5060-7080-0000-000000000000",
        "a0b0c0d0-e0f0-a0b0-c0d0-e0f0a0b0c0d0",
        "22222222-3333-4444-5555-666666666666",
        "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "99999999-0000-4444-1111-777777777777",
        "12345678-9101-1121-3141-516171819202",
        // Nobody's MAC address.
        "00000000-0000-0000-0000-aabbccddeeff",
        "00000000-0000-0000-0000-001122334455",
        "00000000-0000-0000-0000-123456789abc",
        "ffffffff-ffff-ffff-ffff-010203040506",
        "03000200-0400-0500-0006-000000000000",
        "03000200-0400-0500-0006-ffffffffffff",
        "03000200-0400-0500-0006-aabbccddeeff",
        // A service tag of one letter.
        "4c4c4544-0030-3010-8030-b0c04f303030",
    ];
    for uuid in patterns.map(of) {
        assert!(is_placeholder(uuid), "{uuid}");
        assert!(is_placeholder(swapped(uuid)), "{uuid}");
    }
}

#[test]
fn text_that_nobody_filled_in_is_no_identity() {
    for written in [
        b"To be filled by ",
        b"Default string\0\0",
        b"Default String  ",
        b"Not Specified\0\0\0",
        b"System Serial Nu",
        b"0123456789ABCDEF",
        b"1234567890\0\0\0\0\0\0",
        b"XXXXXXXXXXXXXXXX",
        b"868703          ",
        b"868703\0\0\0\0\0\0\0\0\0\0",
        b"8687030000000000",
        b"N/A             ",
        b"O.E.M.\0\0\0\0\0\0\0\0\0\0",
        b"OEM             ",
        b"Base Board Seria",
        b"Serial Number xx",
        b"Not Present\0\0\0\0\0",
        b"Not Settable\0\0\0\0",
        b"Product Name\0\0\0\0",
        b"MB-1234567890\0\0\0",
        b"SN-1234567890123",
        b"S/N: 1234567890 ",
        b"NNNNNNNNNNNNNNNN",
        b"No Asset Tag\0\0\0\0",
        b"Asset-1234567890",
    ] {
        assert!(is_placeholder(text(written)), "{written:?}");
        assert!(is_placeholder(swapped(text(written))), "{written:?}");
    }
}

#[test]
fn what_one_machine_has_is_an_identity_however_it_was_made() {
    for uuid in [
        "38947555-7742-3448-3784-823347823834",
        "58893887-8974-2487-2389-841168418919",
        "123e4567-e89b-12d3-a456-426614174000",
        "0b3e2f6c-0000-0000-0000-000000000001",
        "0b3e2f6c-1111-2222-3333-444455556666",
        "00112233-4455-6677-8899-010203040506",
        // The MAC address after zeros, or after a number of the board.
        "00000000-0000-0000-0000-ac1f6b0a1b2c",
        "03000200-0400-0500-0006-ac1f6b0a1b2c",
        "00000000-0000-0000-0000-000000000002",
        "00000000-0000-4000-8000-000000000002",
        "ffffffff-ffff-ffff-ffff-ac1f6b0a1b2c",
        // The MAC address before zeros, or repeated.
        "ac1f6b0a-1b2c-0000-0000-000000000000",
        "ac1f6b0a-1b2c-ac1f-6b0a-1b2cac1f6b0a",
        // Dell: DELL and the service tag. HPE: product and serial number.
        "4c4c4544-0034-4b10-8051-b4c04f4c3632",
        "36363838-3730-5a43-4a39-343230314e36",
    ] {
        assert!(!is_placeholder(of(uuid)), "{uuid}");
    }
    assert!(!is_placeholder(text(b"868703CZJ94201N6")));
    for number in 0..100_000_u32 {
        let uuid = Uuid::from_u64_pair(hash((number, 0)), hash((number, 1)));
        assert!(!is_placeholder(uuid), "{uuid}");
    }
}

/// The same number on every run.
fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
