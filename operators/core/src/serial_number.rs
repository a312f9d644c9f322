//! Which serial numbers are those of one machine. Boards come with ones that somebody should have
//! replaced: a saying, a filler, a row of digits.

/// Fewest characters of a row, as in 12345, and of the same one, as in 111111.
const ROW: usize = 5;
const REPEATED: usize = 6;

/// What a serial number that says nothing is, in lower case and without spaces and punctuation...
const SAYINGS: [&str; 12] = [
    "none", "null", "nil", "na", "oem", "tbd", "invalid", "empty", "blank", "system", "serial",
    "chassis",
];
/// ...or begins with.
const BEGINNINGS: [&str; 16] = [
    "tobefilled",
    "default",
    "notspecified",
    "notapplicable",
    "notavailable",
    "notset",
    "notprovided",
    "notpresent",
    "noserial",
    "systemserial",
    "chassisserial",
    "baseboardserial",
    "serialnumber",
    "unspecified",
    "unknown",
    "undefined",
];

/// Whether a serial number is that of one machine, as far as it shows.
pub(crate) fn names_one(serial: &str) -> bool {
    let bare: String = serial.chars().filter(char::is_ascii_alphanumeric).collect();
    let bare = bare.to_ascii_lowercase();
    let is_blank = bare.chars().all(|c| matches!(c, '0' | 'x'));
    let is_saying = SAYINGS.contains(&bare.as_str())
        || BEGINNINGS.into_iter().any(|beginning| bare.starts_with(beginning));
    let has_digit = bare.contains(|c: char| c.is_ascii_digit());
    let is_phrase = !has_digit && serial.trim().contains(' ');
    !(is_blank || is_saying || is_phrase || is_repeated(&bare) || is_row(&bare))
}

/// The same character, many times.
fn is_repeated(bare: &str) -> bool {
    bare.len() >= REPEATED && bare.bytes().all(|byte| bare.as_bytes().first() == Some(&byte))
}

/// Characters that count up or down: 0123456789, 1234567890, 123456789ABC, 987654321.
fn is_row(bare: &str) -> bool {
    let digits: Vec<u32> = bare.chars().filter_map(|c| c.to_digit(36)).collect();
    let follows = |one: u32, next: u32| next == one + 1 || (one, next) == (9, 0);
    let up = digits.windows(2).all(|two| follows(two[0], two[1]));
    let down = digits.windows(2).all(|two| follows(two[1], two[0]));
    digits.len() >= ROW && (up || down)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_that_boards_are_shipped_with_names_none() {
        for many in [
            "",
            " ",
            "0",
            "0000000000",
            "........",
            "XXXXXXX",
            "xxx-xxx",
            "111111",
            "0123456789",
            "1234567890",
            "123456789",
            "012345678901234567890",
            "123456789ABC",
            "9876543210",
            "12345",
            "To be filled by O.E.M.",
            "To Be Filled By OEM",
            "Default string ",
            "System Serial Number",
            "Chassis Serial Number",
            "None",
            "Not Specified",
            "Not Applicable",
            "N/A",
            "O.E.M.",
            "Unknown",
            "Empty Serial",
        ] {
            assert!(!names_one(many), "{many}");
        }
    }

    #[test]
    fn a_serial_number_of_digits_letters_or_both_names_one() {
        for one in [
            "1",
            "SN-1",
            "SN 1",
            "J0000000",
            "MZ01",
            "GBHSXYZ",
            "1234",
            "CZ3456789K",
            "12345-A1",
            "SGH012345678",
        ] {
            assert!(names_one(one), "{one}");
        }
    }
}
