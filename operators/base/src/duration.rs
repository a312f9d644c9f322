//! Durations in the format of Go's `flag` package.

use std::time::Duration;

/// The text is not a Go duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration; use, for example, 30m, 1h30m or 500ms")]
pub struct NotADuration;

/// Parses a non-negative Go duration: `30m`, `1h30m`, `1.5s`, `500ms`, `0`.
///
/// # Errors
///
/// If it is anything else, or longer than 584 years.
pub fn parse(text: &str) -> Result<Duration, NotADuration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let part = part(number, nanoseconds(unit).ok_or(NotADuration)?).ok_or(NotADuration)?;
        total = total.checked_add(part).ok_or(NotADuration)?;
        rest = after;
    }
    Ok(total)
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` (decimal, may have a fraction) times `unit` nanoseconds.
fn part(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let parse = |digits: &str| match digits {
        "" => Some(0),
        digits => digits.parse::<u64>().ok(),
    };
    let whole = parse(whole)?.checked_mul(unit)?;
    // Further digits are below a nanosecond.
    let fraction = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = u128::from(parse(fraction)?) * u128::from(unit) / u128::from(scale);
    Some(Duration::from_nanos(whole.checked_add(u64::try_from(fraction).ok()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let table = [
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("30m", Duration::from_mins(30)),
            ("+5s", Duration::from_secs(5)),
            ("1h30m", Duration::from_mins(90)),
            ("2h0m0.5s", Duration::from_millis(7_200_500)),
            ("1.5s", Duration::from_millis(1500)),
            (".5s", Duration::from_millis(500)),
            ("100ms", Duration::from_millis(100)),
            ("3\u{b5}s4ns", Duration::from_nanos(3004)),
            ("0.3333333333333333333h", Duration::from_nanos(1_199_999_998_800)),
        ];
        for (text, wanted) in table {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "5 s",
            "1d",
            ".s",
            "1..5s",
            "1.2.3s",
            "9999999999999h",
            "\u{661}s",
        ] {
            assert_eq!(parse(text), Err(NotADuration), "{text}");
        }
    }
}
