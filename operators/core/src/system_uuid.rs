//! Which system UUIDs are an identity: what no two machines share.
//!
//! Boards come with UUIDs that somebody was to replace and did not: zeros, ones, a pattern, a
//! counter, the number of a data sheet, text that says so. Such a UUID names every board of its
//! maker, and so no machine. It is written with its first three fields in either byte order
//! (SMBIOS 3.7, section 7.2.1), and is one in both.

use uuid::Uuid;

/// What makers ship that no pattern tells.
const SHIPPED: [Uuid; 3] = [
    // Dell, without a service tag.
    uuid::uuid!("4c4c4544-0000-2010-8020-80c04f202020"),
    // Boards of several makers, as inventories that merged them found out.
    uuid::uuid!("6ab5b300-538d-1014-9fb5-b0684d007b53"),
    uuid::uuid!("6ab5b300-538d-1014-bfb5-b0684d007b53"),
];
/// How text begins that is no serial number, in lower case and without blanks before it.
const SAYINGS: [&str; 19] = [
    "to be filled",
    "tobefilled",
    "default",
    "not specified",
    "not applicable",
    "not available",
    "notspecified",
    "none",
    "null",
    "n/a",
    "unknown",
    "undefined",
    "unspecified",
    "invalid",
    "empty",
    "o.e.m",
    "system",
    "chassis serial",
    "xxxx",
];
/// Text of so many characters is the name of a product without its serial number.
const NO_SERIAL: usize = 6;
/// Of the 31 steps between the digits of a UUID, so many from a digit to itself or its neighbor...
const MOST_REGULAR: usize = 25;
/// ...and so many of these to its neighbor make a row of digits. A random UUID has 6 and 4.
const FEWEST_STEPS: usize = 8;

/// The UUID, if it tells a machine from others.
pub fn identifying(uuid: Uuid) -> Option<Uuid> {
    (!is_placeholder(uuid)).then_some(uuid)
}

/// Whether text is a UUID that many machines share.
pub fn is_placeholder_text(text: &str) -> bool {
    text.trim().parse().is_ok_and(is_placeholder)
}

/// The UUID with its first three fields in the other byte order, which firmware before SMBIOS 2.6
/// and some BMCs take for it.
pub fn swapped(uuid: Uuid) -> Uuid {
    Uuid::from_bytes(uuid.to_bytes_le())
}

/// Whether many machines share it.
pub fn is_placeholder(uuid: Uuid) -> bool {
    [uuid, swapped(uuid)].into_iter().any(|uuid| {
        let bytes = uuid.as_bytes();
        SHIPPED.contains(&uuid)
            || is_filler(bytes)
            || is_repeated(bytes)
            || is_counter(bytes)
            || is_row_of_digits(bytes)
            || is_saying(bytes)
    })
}

/// Of two different bytes at most; a small number behind zeros is what people number machines with.
fn is_filler(bytes: &[u8; 16]) -> bool {
    let [first, ..] = *bytes;
    let other = bytes.iter().find(|byte| **byte != first).copied().unwrap_or(first);
    let is_number = bytes[..12] == [0; 12] && other != first && other != 0xff;
    bytes.iter().all(|byte| *byte == first || *byte == other) && !is_number
}

/// The same two, four or eight bytes again and again.
fn is_repeated(bytes: &[u8; 16]) -> bool {
    [2, 4, 8].into_iter().any(|len| bytes.chunks(len).all(|chunk| *chunk == bytes[..len]))
}

/// Numbers of one, two or four bytes, each as much larger than the one before it.
fn is_counter(bytes: &[u8; 16]) -> bool {
    let counts = |len: usize, is_big: bool| {
        let number = |chunk: &[u8]| {
            let digits = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
            if is_big { chunk.iter().fold(0, digits) } else { chunk.iter().rev().fold(0, digits) }
        };
        let mask = u32::MAX >> (32 - 8 * len);
        let numbers: Vec<u32> = bytes.chunks(len).map(number).collect();
        let mut steps = numbers.windows(2).map(|two| two[1].wrapping_sub(two[0]) & mask);
        let first = steps.next();
        steps.all(|step| Some(step) == first)
    };
    [(1, true), (2, true), (2, false), (4, true), (4, false)].iter().any(|it| counts(it.0, it.1))
}

/// 12345678-1234-5678-90ab-cddeefaabbcc and its like.
fn is_row_of_digits(bytes: &[u8; 16]) -> bool {
    let digits: Vec<u8> = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
    let is_step = |two: &&[u8]| {
        let [one, other] = [two[0], two[1]];
        one.abs_diff(other) == 1 || matches!((one, other), (9 | 15, 0) | (0, 9 | 15) | (15, 1))
    };
    let steps = digits.windows(2).filter(is_step).count();
    let same = digits.windows(2).filter(|two| two[0] == two[1]).count();
    steps >= FEWEST_STEPS && steps + same >= MOST_REGULAR
}

/// Text that is not there, or that says that nobody filled it in. Of others, HPE for instance makes
/// UUIDs of product and serial number.
fn is_saying(bytes: &[u8; 16]) -> bool {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | 0);
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| bytes.iter().all(is_text)) else {
        return false;
    };
    let text = text.replace('\0', " ").to_ascii_lowercase();
    let text = text.trim();
    let is_row = ["0123456", "1234567"].iter().any(|row| text.starts_with(row));
    let without_serial = text.trim_end_matches(['0', ' ', '.', '-', 'x']).len() <= NO_SERIAL;
    is_row || without_serial || SAYINGS.iter().any(|saying| text.starts_with(saying))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

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
        assert!(is_placeholder_text(" {03000200-0400-0500-0006-000700080009} "));
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
            // The MAC address behind zeros, or behind a number of the board.
            "00000000-0000-0000-0000-ac1f6b0a1b2c",
            "03000200-0400-0500-0006-ac1f6b0a1b2c",
            "00000000-0000-0000-0000-000000000002",
            // Dell: DELL and the service tag. HPE: product and serial number.
            "4c4c4544-0034-4b10-8051-b4c04f4c3632",
            "36363838-3730-5a43-4a39-343230314e36",
        ] {
            assert!(!is_placeholder(of(uuid)), "{uuid}");
        }
        assert!(!is_placeholder(text(b"868703CZJ94201N6")));
        let mut dice = Dice(7);
        for _ in 0..100_000 {
            let bytes = std::array::from_fn(|_| u8::try_from(dice.roll(256)).unwrap_or_default());
            assert!(!is_placeholder(Uuid::from_bytes(bytes)), "{bytes:?}");
        }
    }
}
