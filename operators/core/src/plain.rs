//! Texts for people and for logs, made of what may be anything.

use crate::conditions::cut;
use std::fmt::Write as _;

/// The longest text of a stranger that is kept, in bytes.
const LONGEST: usize = 512;

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

/// One line of a stranger's text, of bounded length.
pub(crate) fn line(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    cut(text.trim(), LONGEST).into_owned()
}
