//! Untrusted text made safe for logs and conditions.

use crate::conditions::cut;

/// The longest untrusted text that is kept, in bytes.
const LONGEST: usize = 512;

/// One line of an untrusted text, of bounded length.
pub(crate) fn line(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    cut(text.trim(), LONGEST).into_owned()
}
