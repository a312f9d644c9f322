//! Which system UUIDs identify a machine, because no two machines share them.
//!
//! Boards come with UUIDs that somebody should have replaced: zeros, ones, a pattern, a counter, a
//! number from a data sheet, text that says so. Such a UUID is on every board of its manufacturer,
//! and so identifies no machine. A UUID may be written with its first three fields in either byte
//! order (SMBIOS 3.7, section 7.2.1), and is a placeholder in both.

use uuid::Uuid;

/// Placeholders of manufacturers that match no pattern.
const SHIPPED: [Uuid; 9] = [
    // From the lists of inventories and agents: osquery, BSD's hostid, and others.
    uuid::uuid!("07090201-0103-0301-0807-060504030201"),
    uuid::uuid!("10000000-0000-8000-0040-000000000000"),
    uuid::uuid!("890e2d14-cacd-45d1-ae66-bc80e8bfeb0f"),
    uuid::uuid!("8e275844-178f-44a8-aceb-a7d7e5178c63"),
    uuid::uuid!("dc698397-fa54-4cf2-82c8-b1b5307a6a7f"),
    // From boards of several manufacturers, noticed by inventories that merged them.
    uuid::uuid!("6ab5b300-538d-1014-9fb5-b0684d007b53"),
    uuid::uuid!("6ab5b300-538d-1014-bfb5-b0684d007b53"),
    // Consecutive decimal numbers.
    uuid::uuid!("01234567-8910-1112-1314-151617181920"),
    uuid::uuid!("12345678-9101-1121-3141-516171819202"),
];
/// Beginnings of texts that are not serial numbers, in lower case and without leading spaces.
const SAYINGS: [&str; 32] = [
    "to be filled",
    "tobefilled",
    "default",
    "not specified",
    "not applicable",
    "not available",
    "not set",
    "not present",
    "not provided",
    "notspecified",
    "no asset",
    "no serial",
    "none",
    "null",
    "n/a",
    "unknown",
    "undefined",
    "unspecified",
    "invalid",
    "empty",
    "o.e.m",
    "oem",
    "system",
    "serial",
    "base board",
    "baseboard",
    "board serial",
    "chassis",
    "product name",
    "asset",
    "eval",
    "xxxx",
];
/// A text of this many characters is a product name without a serial number.
const NO_SERIAL: usize = 6;
/// This many of the 31 steps between the digits of a UUID, from a digit to itself or its
/// neighbor...
const MOST_REGULAR: usize = 25;
/// ...and this many to its neighbor make a row of digits. A random UUID has 6 and 4.
const FEWEST_STEPS: usize = 8;
/// This many of the 15 steps between the bytes of a UUID with the same width are no coincidence.
const MOST_EVEN: usize = 12;

/// The UUID with its first three fields in the other byte order.
pub(super) fn swapped(uuid: Uuid) -> Uuid {
    Uuid::from_bytes(uuid.to_bytes_le())
}

/// Whether many machines share the UUID.
pub(super) fn is_placeholder(uuid: Uuid) -> bool {
    [uuid, swapped(uuid)].into_iter().any(|uuid| {
        let bytes = uuid.as_bytes();
        SHIPPED.contains(&uuid)
            || is_filler(bytes)
            || is_filler(&unstamped(bytes))
            || is_unfinished(bytes)
            || is_repeated(bytes)
            || is_counter(bytes)
            || is_even(bytes)
            || is_row_of_digits(bytes)
            || has_digit_per_field(bytes)
            || has_blank_mac(bytes)
            || has_blank_tag(bytes)
            || is_saying(bytes)
    })
}

/// At most two distinct bytes; but a small number after zeros may be how somebody numbers machines.
fn is_filler(bytes: &[u8; 16]) -> bool {
    let [first, ..] = *bytes;
    let other = bytes.iter().find(|byte| **byte != first).copied().unwrap_or(first);
    let is_number = bytes[..12] == [0; 12] && other != first && other != 0xff;
    bytes.iter().all(|byte| *byte == first || *byte == other) && !is_number
}

/// The UUID before version and variant were set (RFC 9562, section 4), if it consisted of one
/// repeated byte.
fn unstamped(bytes: &[u8; 16]) -> [u8; 16] {
    let counts = occurrences(bytes.iter().copied());
    let common = bytes.iter().max_by_key(|byte| counts[usize::from(**byte)]);
    let common = common.copied().unwrap_or_default();
    let mut bytes = *bytes;
    bytes[6] = common & 0xf0 | bytes[6] & 0x0f;
    bytes[8] = common & 0xc0 | bytes[8] & 0x3f;
    bytes
}

/// How often there is each byte.
fn occurrences(bytes: impl Iterator<Item = u8>) -> [usize; 256] {
    let mut counts = [0; 256];
    for byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    counts
}

/// Ones after at most the first two fields, or zeros after the first one.
fn is_unfinished(bytes: &[u8; 16]) -> bool {
    bytes[6..] == [0xff; 10] || bytes[4..] == [0; 12]
}

/// The same two, four or eight bytes, repeated.
fn is_repeated(bytes: &[u8; 16]) -> bool {
    [2, 4, 8].into_iter().any(|len| bytes.chunks(len).all(|chunk| *chunk == bytes[..len]))
}

/// Numbers of one, two or four bytes that increase by a constant, modulo their size.
fn is_counter(bytes: &[u8; 16]) -> bool {
    let counts = |len: usize, is_big: bool| {
        step(numbers(bytes, len, is_big), u32::MAX >> (32 - 8 * len)).is_some()
    };
    [(1, true), (2, true), (2, false), (4, true), (4, false)].iter().any(|it| counts(it.0, it.1))
}

/// The numbers, each of `len` bytes.
fn numbers(bytes: &[u8], len: usize, is_big: bool) -> impl Iterator<Item = u32> {
    bytes.chunks(len).map(move |chunk| {
        let digits = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        if is_big { chunk.iter().fold(0, digits) } else { chunk.iter().rev().fold(0, digits) }
    })
}

/// By how much each number is greater than the one before, if that is the same for all; of the bits in `mask`.
fn step(mut numbers: impl Iterator<Item = u32>, mask: u32) -> Option<u32> {
    let (mut before, mut common) = (numbers.next()?, None);
    for number in numbers {
        let step = number.wrapping_sub(before) & mask;
        if *common.get_or_insert(step) != step {
            return None;
        }
        before = number;
    }
    common
}

/// Bytes that increase or decrease by the same width nearly everywhere, or up to trailing zeros:
/// 01020304-0506-0708-0900-000000000000.
fn is_even(bytes: &[u8; 16]) -> bool {
    let steps = bytes.windows(2).map(|two| two[1].wrapping_sub(two[0])).filter(|step| *step != 0);
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let row = step(numbers(&bytes[..end], 1, true), 0xff);
    let is_row = end > 4 && row.is_some_and(|step| step != 0);
    is_row || occurrences(steps).into_iter().any(|count| count >= MOST_EVEN)
}

/// As in 12345678-1234-5678-90ab-cddeefaabbcc.
fn is_row_of_digits(bytes: &[u8; 16]) -> bool {
    let mut digits = [0; 32];
    for (two, byte) in digits.chunks_mut(2).zip(bytes) {
        two.copy_from_slice(&[byte >> 4, byte & 15]);
    }
    let is_step = |two: &&[u8]| {
        let [one, other] = [two[0], two[1]];
        one.abs_diff(other) == 1 || matches!((one, other), (9 | 15, 0) | (0, 9 | 15) | (15, 1))
    };
    let steps = digits.windows(2).filter(is_step).count();
    let same = digits.windows(2).filter(|two| two[0] == two[1]).count();
    steps >= FEWEST_STEPS && steps + same >= MOST_REGULAR
}

/// One digit per field, as in 11111111-2222-3333-4444-555555555555.
fn has_digit_per_field(bytes: &[u8; 16]) -> bool {
    let is_one =
        |field: &[u8]| field.iter().all(|byte| *byte == field[0]) && field[0] >> 4 == field[0] & 15;
    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].into_iter().all(is_one)
}

/// A pattern, followed by something that is nobody's MAC address: aabbccddeeff, 001122334455,
/// zeros.
fn has_blank_mac(bytes: &[u8; 16]) -> bool {
    let step = |bytes, len| step(numbers(bytes, len, true), u32::MAX);
    let (before, mac) = bytes.split_at(10);
    let is_pattern = step(before, 1) == Some(0) || matches!(step(before, 2), Some(0 | 1));
    is_pattern && step(mac, 1).is_some()
}

/// Dell: `DELL`, and the service tag between constants. Without letters and digits, it is no
/// service tag.
fn has_blank_tag(bytes: &[u8; 16]) -> bool {
    let is_dell =
        bytes[..5] == *b"LLED\0" && bytes[7..9] == [0x10, 0x80] && bytes[11..13] == [0xc0, 0x4f];
    let mut tag = [5, 6, 9, 10, 13, 14, 15].map(|at| bytes[at] & 0x7f);
    tag.sort_unstable();
    is_dell && (!tag.iter().any(u8::is_ascii_alphanumeric) || tag[0] == tag[6])
}

/// A text that is empty or says that nobody filled it in. Others are valid: HPE, for instance,
/// makes UUIDs from product and serial number.
fn is_saying(bytes: &[u8; 16]) -> bool {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | 0);
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| bytes.iter().all(is_text)) else {
        return false;
    };
    let text = text.replace('\0', " ").to_ascii_lowercase();
    let text = text.trim();
    // As in SN-1234567.
    let number =
        text.trim_start_matches(|c: char| c.is_ascii_alphabetic() || "-_. #:/".contains(c));
    let is_row = match text.len() - number.len() {
        0 => ["0123456", "1234567"].iter().any(|row| number.starts_with(row)),
        before => before <= 5 && number.starts_with("123456"),
    };
    let without_serial = text.trim_end_matches(['0', ' ', '.', '-', 'x']).len() <= NO_SERIAL;
    is_row || without_serial || SAYINGS.iter().any(|saying| text.starts_with(saying))
}

#[cfg(test)]
mod tests;
