//! The reason that a server gives for a refusal.

use std::fmt;

/// How much of it is shown, in characters.
const SHOWN: usize = 200;

/// The beginning of a response that is a refusal, on one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The reason in this body.
    pub fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..4 * SHOWN).unwrap_or(body));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self(text.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect())
    }
}

/// Shows nothing, or a colon and the reason, to be appended to what was refused.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line_without_control_characters() {
        let long = format!("no\u{1b}[31m\n\t{}", "x".repeat(5000));
        let shown = Reason::of(long.as_bytes()).to_string();
        assert!(shown.starts_with(": no[31m x") && shown.len() == 202, "{shown}");
        assert_eq!(Reason::of(b" \n").to_string(), "");
        assert_eq!(Reason::of(b"\xff").to_string(), ": \u{fffd}");
    }
}
