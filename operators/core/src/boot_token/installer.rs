//! The installer that a token boots.

use metal_api::{BootInstaller, BootToken};

/// The location of an installer.
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
        /// URL of its second stage.
        stage2: Option<&'a str>,
    },
}

/// The installer of the token, or else that of the server.
pub fn installer<'a>(
    token: &'a BootToken,
    default: Option<&'a BootInstaller>,
) -> Option<&'a BootInstaller> {
    token.spec.installer.as_ref().or(default)
}

/// Whether the machine of a token gets a disk image, which is written as it is, and no kickstart.
pub fn writes_disk_image(token: &BootToken, default: Option<&BootInstaller>) -> bool {
    installer(token, default).is_some_and(BootInstaller::writes_disk_image)
}

/// Where an installer is; `None` if that is not said, which the schema does not allow. One that
/// writes a disk image may be in the `image` that is installed.
pub fn source<'a>(installer: &'a BootInstaller, image: &'a str) -> Option<Source<'a>> {
    if let Some(image) = &installer.image {
        return Some(Source::Image(image));
    }
    if installer.writes_disk_image() {
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
