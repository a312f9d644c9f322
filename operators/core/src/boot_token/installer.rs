//! The installer that a token boots.

use metal_api::{BootInstaller, BootToken};

/// Where an installer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// In an image, by its reference.
    Image(&'a str),
    /// At a mirror.
    Mirror {
        /// URL of its kernel.
        kernel: &'a str,
        /// URL of its initial RAM disk.
        initrd: &'a str,
        /// URL of what it loads then.
        stage2: Option<&'a str>,
    },
}

/// That of the token, or else that of the server.
pub fn installer<'a>(
    token: &'a BootToken,
    default: Option<&'a BootInstaller>,
) -> Option<&'a BootInstaller> {
    token.spec.installer.as_ref().or(default)
}

/// Where an installer is; `None` if that is not said, which the schema does not allow.
pub fn source(installer: &BootInstaller) -> Option<Source<'_>> {
    if let Some(image) = &installer.image {
        return Some(Source::Image(image));
    }
    let (kernel, initrd) = (installer.kernel_url.as_ref()?, installer.initrd_url.as_ref()?);
    Some(Source::Mirror { kernel, initrd, stage2: installer.stage2_url.as_deref() })
}

/// Whether a text is one word of a script or of a kernel command line, and nothing more.
pub fn is_word(text: &str) -> bool {
    let special = ['$', '"', '\'', '\\', '|', '&', ';', '<', '>', '`', '{', '}'];
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !special.contains(&c))
}
