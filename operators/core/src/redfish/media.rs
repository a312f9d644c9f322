//! Virtual media slots, and the images in them.

use std::fmt;

/// One `VirtualMedia` that an image can be inserted into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct MediaSlot {
    /// `@odata.id`.
    pub uri: String,
    /// Whether `MediaTypes` has `CD` or `DVD`.
    pub is_cd: bool,
    /// Whether `MediaTypes` has `USBStick`.
    pub is_usb: bool,
    /// `Inserted`; if that is missing, whether there is an image.
    pub inserted: bool,
    /// Whether `ConnectedVia` is `Applet`: it comes from somebody's console, and not from a URL.
    pub is_applet: bool,
    /// `Image`, if the BMC reports it.
    pub image: Option<ImageUrl>,
}

/// URL of the image of a medium. Whoever has it may read the image, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageUrl(String);

impl ImageUrl {
    /// An image at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL, for the BMC and nothing else.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file name. BMCs report the URL in various forms, but with this name.
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Debug for ImageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageUrl(..)")
    }
}
