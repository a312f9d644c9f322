//! Words in YAML.

use std::fmt::Display;

/// A word as a YAML scalar that is a string whatever is in it: JSON's strings are YAML's.
pub(super) fn quote(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}
