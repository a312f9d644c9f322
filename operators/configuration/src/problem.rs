//! Problems of a configuration or a schema, each with its location.

use crate::lines::escaped;
use metal_base::cut;
use std::fmt;

/// The longest pointer that is shown, in bytes: names of fields may have any length.
const POINTER: usize = 256;
/// The longest text, in bytes.
const TEXT: usize = 240;

/// A problem of one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct Problem {
    /// Its line, from 1, if the text is known.
    pub line: Option<u64>,
    /// JSON pointer of the field (RFC 6901); empty for the document.
    pub pointer: String,
    /// The problem. It quotes no value.
    pub what: String,
}

impl Problem {
    /// A problem of this field.
    pub fn new(pointer: impl Into<String>, what: impl Into<String>) -> Self {
        Self { line: None, pointer: pointer.into(), what: what.into() }
    }

    /// The same, if its document is this field of another document.
    #[must_use]
    pub fn within(self, field: &str) -> Self {
        Self { pointer: format!("/{}{}", escaped(field), self.pointer), ..self }
    }

    /// The same, with its line.
    #[must_use]
    pub fn at(self, line: Option<u64>) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |text: &str| text.replace(|c: char| c.is_control(), " ");
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let pointer = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{}: {}", cut(&plain(pointer), POINTER), cut(&plain(&self.what), TEXT))
    }
}
