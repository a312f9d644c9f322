//! Which system UUIDs are an identity: what no two machines share.
//!
//! Boards come with UUIDs that somebody was to replace and did not: zeros, ones, a pattern, a
//! counter, the number of a data sheet, text that says so. Such a UUID names every board of its
//! maker, and so no machine. It is written with its first three fields in either byte order
//! (SMBIOS 3.7, section 7.2.1), and is one in both.

use uuid::Uuid;

/// What makers ship that no pattern tells.
const SHIPPED: [Uuid; 7] = [
    // On the lists of inventories and agents: osquery, hostid of BSD, and others.
    uuid::uuid!("07090201-0103-0301-0807-060504030201"),
    uuid::uuid!("10000000-0000-8000-0040-000000000000"),
    uuid::uuid!("890e2d14-cacd-45d1-ae66-bc80e8bfeb0f"),
    uuid::uuid!("8e275844-178f-44a8-aceb-a7d7e5178c63"),
    uuid::uuid!("dc698397-fa54-4cf2-82c8-b1b5307a6a7f"),
    // Boards of several makers, as inventories that merged them found out.
    uuid::uuid!("6ab5b300-538d-1014-9fb5-b0684d007b53"),
    uuid::uuid!("6ab5b300-538d-1014-bfb5-b0684d007b53"),
];
/// How text begins that is no serial number, in lower case and without blanks before it.
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
/// Text of so many characters is the name of a product without its serial number.
const NO_SERIAL: usize = 6;
/// Of the 31 steps between the digits of a UUID, so many from a digit to itself or its neighbor...
const MOST_REGULAR: usize = 25;
/// ...and so many of these to its neighbor make a row of digits. A random UUID has 6 and 4.
const FEWEST_STEPS: usize = 8;
/// Of the 15 steps between the bytes of a UUID, so many of one width are no accident.
const MOST_EVEN: usize = 12;

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
            || is_filler(&unstamped(bytes))
            || is_unfinished(bytes)
            || is_repeated(bytes)
            || is_counter(bytes)
            || is_even(bytes)
            || is_row_of_digits(bytes)
            || has_digit_per_field(bytes)
            || counts_on(bytes)
            || has_blank_mac(bytes)
            || has_blank_tag(bytes)
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

/// As it was before version and variant were written into it (RFC 9562, section 4), if it was one
/// byte again and again.
fn unstamped(bytes: &[u8; 16]) -> [u8; 16] {
    let common = bytes.iter().max_by_key(|byte| occurrences(**byte, bytes));
    let common = common.copied().unwrap_or_default();
    let mut bytes = *bytes;
    bytes[6] = common & 0xf0 | bytes[6] & 0x0f;
    bytes[8] = common & 0xc0 | bytes[8] & 0x3f;
    bytes
}

fn occurrences(byte: u8, bytes: &[u8]) -> usize {
    bytes.iter().map(|other| usize::from(*other == byte)).sum()
}

/// Ones behind the first two fields at most, or zeros behind the first one.
fn is_unfinished(bytes: &[u8; 16]) -> bool {
    bytes[6..] == [0xff; 10] || bytes[4..] == [0; 12]
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

/// Bytes that go up or down by the same width nearly everywhere, or until zeros follow:
/// 01020304-0506-0708-0900-000000000000.
fn is_even(bytes: &[u8; 16]) -> bool {
    let steps = |bytes: &[u8]| -> Vec<u8> {
        bytes.windows(2).map(|two| two[1].wrapping_sub(two[0])).filter(|step| *step != 0).collect()
    };
    let all = steps(bytes);
    let most = |step: &u8| occurrences(*step, &all) >= MOST_EVEN;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let before = steps(&bytes[..end]);
    let is_row = end > 4 && before.len() == end - 1 && before.iter().all(|it| *it == before[0]);
    all.iter().any(most) || is_row
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

/// 11111111-2222-3333-4444-555555555555: one digit per field.
fn has_digit_per_field(bytes: &[u8; 16]) -> bool {
    let is_one =
        |field: &[u8]| field.iter().all(|byte| *byte == field[0]) && field[0] >> 4 == field[0] & 15;
    [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].into_iter().all(is_one)
}

/// 01234567-8910-1112-1314-151617181920: numbers one after the other, in decimal.
fn counts_on(bytes: &[u8; 16]) -> bool {
    let text = Uuid::from_bytes(*bytes).simple().to_string();
    [0, 1].into_iter().any(|first| {
        let row: String = (first..first + 32).map(|number: u32| number.to_string()).collect();
        row.starts_with(&text)
    })
}

/// A pattern, and behind it what is no MAC address of anybody: aabbccddeeff, 001122334455, zeros.
fn has_blank_mac(bytes: &[u8; 16]) -> bool {
    let step = |bytes: &[u8], len: usize| {
        let number = |chunk: &[u8]| chunk.iter().fold(0_u32, |sum, it| sum << 8 | u32::from(*it));
        let numbers: Vec<u32> = bytes.chunks(len).map(number).collect();
        let mut steps = numbers.windows(2).map(|two| two[1].wrapping_sub(two[0]));
        let first = steps.next()?;
        steps.all(|step| step == first).then_some(first)
    };
    let (before, mac) = bytes.split_at(10);
    let is_pattern = step(before, 1) == Some(0) || matches!(step(before, 2), Some(0 | 1));
    is_pattern && step(mac, 1).is_some()
}

/// Dell: `DELL`, and the service tag between constants. One without letters and digits is no tag.
fn has_blank_tag(bytes: &[u8; 16]) -> bool {
    let is_dell =
        bytes[..5] == *b"LLED\0" && bytes[7..9] == [0x10, 0x80] && bytes[11..13] == [0xc0, 0x4f];
    let mut tag = [5, 6, 9, 10, 13, 14, 15].map(|at| bytes[at] & 0x7f);
    tag.sort_unstable();
    is_dell && (!tag.iter().any(u8::is_ascii_alphanumeric) || tag[0] == tag[6])
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
    // SN-1234567.
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
