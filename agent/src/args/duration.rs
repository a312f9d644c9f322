//! Go's text form of durations.

use std::time::Duration;

/// Parses `300ms`, `1.5h`, `1m30s`; a bare `0` is allowed, a sign is not.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "must be a duration such as 500ms, 30s or 1m30s";
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(FORM)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = number.parse::<f64>().map_err(|_| FORM)? * seconds(unit).ok_or(FORM)?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| FORM)?;
        sum = sum.checked_add(part).ok_or(FORM)?;
        rest = tail;
    }
    if text.is_empty() { Err(FORM) } else { Ok(sum) }
}

/// Parses a duration that must not be zero.
pub(super) fn positive(text: &str) -> Result<Duration, &'static str> {
    parse(text).and_then(|duration| {
        if duration.is_zero() { Err("must be longer than zero") } else { Ok(duration) }
    })
}

fn seconds(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1e-9),
        "us" | "µs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_forms_are_read() {
        let table = [
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            ("0", 0),
            ("0s", 0),
            ("1h0m0.5s", 3_600_500),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "30", "s", "-5s", "5 s", "5d", "1..2s", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(positive("0s").is_err());
    }
}
