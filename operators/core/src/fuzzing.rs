//! What of this crate reads the bytes of others, for hack/fuzz.

use crate::yaml::{LeadingZero, read};
use serde_json::Value;

/// The one document of a text.
///
/// # Errors
///
/// If it is not YAML, or several documents.
pub fn yaml(text: &str) -> Result<Value, String> {
    read(text, LeadingZero::Decimal).map_err(|error| error.to_string())
}
