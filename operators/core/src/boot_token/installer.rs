//! The installer that a token boots.

use metal_api::{BootInstaller, BootToken};

/// That of the token, or else that of the server.
pub fn installer<'a>(
    token: &'a BootToken,
    default: Option<&'a BootInstaller>,
) -> Option<&'a BootInstaller> {
    token.spec.installer.as_ref().or(default)
}

/// Whether a text is one word of a script or of a kernel command line, and nothing more.
pub fn is_word(text: &str) -> bool {
    let special = ['$', '"', '\'', '\\', '|', '&', ';', '<', '>', '`', '{', '}'];
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !special.contains(&c))
}
