//! Durations in Go's format.

use metal_base::duration;
use std::time::Duration;

/// Parses `300ms`, `1.5h`, `1m30s`, or a bare `0`; negative durations are refused.
pub(super) fn parse(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text).map_err(|_| "must be a duration such as 500ms, 30s or 1m30s")
}

/// Parses a duration greater than zero.
pub(super) fn positive(text: &str) -> Result<Duration, &'static str> {
    parse(text).and_then(|duration| {
        if duration.is_zero() { Err("must be greater than zero") } else { Ok(duration) }
    })
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
