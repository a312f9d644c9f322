//! Quotes words for YAML.

use std::fmt::Display;

/// A word as a YAML scalar that is always a string: JSON strings are valid in YAML.
pub(super) fn quote(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}
