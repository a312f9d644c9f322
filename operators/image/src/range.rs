//! The `Range` header of a GET request (RFC 9110, section 14).

use std::ops::Range;

/// Which bytes to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestedRange {
    /// All of them.
    Whole,
    /// This part of it.
    Part(Range<u64>),
    /// A range outside of the content.
    Unsatisfiable,
}

/// What a `Range` header asks of a body of `size` bytes.
///
/// Anything but exactly one byte range is ignored, which RFC 9110 permits; no firmware asks for
/// several.
pub(crate) fn wanted(value: &str, size: u64) -> RequestedRange {
    let Some((unit, range)) = value.split_once('=') else { return RequestedRange::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return RequestedRange::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return RequestedRange::Whole };
    match (number(first), number(last)) {
        (Parsed::Number(first), Parsed::Empty) => part(first, size, size),
        (Parsed::Number(first), Parsed::Number(last)) if first <= last => {
            part(first, last.saturating_add(1).min(size), size)
        }
        (Parsed::Empty, Parsed::Number(suffix)) => {
            part(size.saturating_sub(suffix), size, if suffix == 0 { 0 } else { size })
        }
        (Parsed::Number(_), Parsed::Number(_))
        | (Parsed::Empty, Parsed::Empty)
        | (Parsed::Nonsense, _)
        | (_, Parsed::Nonsense) => RequestedRange::Whole,
    }
}

/// `first..end`, if `first` is before `limit`.
fn part(first: u64, end: u64, limit: u64) -> RequestedRange {
    if first < limit { RequestedRange::Part(first..end) } else { RequestedRange::Unsatisfiable }
}

enum Parsed {
    Empty,
    Number(u64),
    Nonsense,
}

fn number(text: &str) -> Parsed {
    match text {
        "" => Parsed::Empty,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number that overflows is larger than any body, and is only compared with sizes.
            Parsed::Number(digits.parse().unwrap_or(u64::MAX))
        }
        _ => Parsed::Nonsense,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequestedRange::{Part, Unsatisfiable, Whole};

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let cases = [
            ("bytes=0-0", Part(0..1)),
            ("bytes=0-99", Part(0..10)),
            ("bytes=3-5", Part(3..6)),
            ("bytes=3-", Part(3..10)),
            ("Bytes=9-", Part(9..10)),
            ("bytes=-3", Part(7..10)),
            ("bytes=-99", Part(0..10)),
            ("bytes=-0", Unsatisfiable),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=99999999999999999999-", Unsatisfiable),
            ("bytes=0-99999999999999999999", Part(0..10)),
            ("bytes=5-3", Whole),
            ("bytes=0-1,3-4", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("lines=0-1", Whole),
            ("0-1", Whole),
        ];
        for (value, expected) in cases {
            assert_eq!(wanted(value, 10), expected, "{value}");
        }
    }

    #[test]
    fn no_byte_of_an_empty_body_is_there() {
        assert_eq!(wanted("bytes=0-", 0), Unsatisfiable);
        assert_eq!(wanted("bytes=-1", 0), Unsatisfiable);
    }
}
