//! Durations as people write them: `50ms`, `2s`, `1.5s`, `5m`.

use metal_base::duration;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
use std::time::Duration;

/// Not a duration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a number with a unit of ms, s, m or h, like 50ms")]
pub struct DurationError;

/// Parses one.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    duration::parse(text).map_err(|_| DurationError)
}

/// For `#[serde(with)]`.
pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{}ms", value.as_millis()))
}

/// For `#[serde(with)]`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit_and_refused_without() {
        let cases =
            [("50ms", 50), ("2s", 2000), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000)];
        for (text, millis) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "5 days", "1e999s"] {
            assert_eq!(parse(text), Err(DurationError), "{text}");
        }
    }
}
