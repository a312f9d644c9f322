//! Texts for people and for logs, made of what may be anything.

use crate::conditions::cut;

/// The longest text of a stranger that is kept, in bytes.
const LONGEST: usize = 512;

/// One line of a stranger's text, of bounded length.
pub(crate) fn line(text: &str) -> String {
    let text = text.replace(char::is_control, " ");
    cut(text.trim(), LONGEST).into_owned()
}
