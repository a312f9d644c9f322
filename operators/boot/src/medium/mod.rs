//! A medium from which a machine boots a UKI: an ISO 9660 image with an El Torito entry that points
//! to a FAT file system, which is also the only partition in an MBR. So it is both a CD and a USB
//! stick.
//!
//! ```text
//!  MBR │ ISO 9660, El Torito │ FAT: tables, folders, credential │ UKI                  │ zeros
//!  └──────────────── head: made in memory ─────────────────────┘ └ from where it lies ┘
//! ```
//!
//! The UKI is contiguous and unchanged, so any part of the medium can be produced without the rest,
//! and Secure Boot works. What else the machine needs is next to it as a credential, which
//! systemd's stub passes to the host in `/.extra/credentials` (systemd-stub(7)).
//!
//! The same parameters give the same bytes. The source of the UKI's bytes is left to the caller.

mod fat;
mod iso;
#[cfg(test)]
mod tests;

use fat::Fat;
use std::{fmt, ops::Range};

/// Name of the file system and of the volume.
pub(crate) const LABEL: &str = "BLOOMERY";
/// Name of the credential, which contains a URL, like the kernel argument of the same name.
pub(crate) const CREDENTIAL: &str = "ignition.config.url";
/// Longest credential.
pub(crate) const LONGEST: usize = 2048;

/// The firmware that a medium is for (UEFI 2.10, 3.5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Architecture {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

/// What does not fit on a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MediumError {
    /// FAT16 has no room for it.
    #[error("a UKI of {0} bytes is too large for a virtual medium: the maximum is 2 GiB")]
    Uki(u64),
    /// The URL is longer than it could reasonably be.
    #[error("the URL of the ignition has {0} bytes, too many for a virtual medium")]
    Credential(usize),
}

/// A medium.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Medium {
    fat: Fat,
    credential: String,
}

/// Bytes of a medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// These.
    Bytes(Vec<u8>),
    /// These of the UKI.
    Uki(Range<u64>),
}

impl Medium {
    /// A medium with a UKI of `uki` bytes, and the URL of its ignition, if it has one.
    ///
    /// # Errors
    ///
    /// If one of them does not fit.
    pub(crate) fn new(
        architecture: Architecture,
        uki: u64,
        url: Option<&str>,
    ) -> Result<Self, MediumError> {
        let credential = url.unwrap_or_default();
        if credential.len() > LONGEST {
            return Err(MediumError::Credential(credential.len()));
        }
        let fat = Fat::new(architecture, uki, credential.len()).ok_or(MediumError::Uki(uki))?;
        Ok(Self { fat, credential: credential.to_owned() })
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        iso::HEAD + self.fat.size()
    }

    /// Some of its bytes, as consecutive parts. What is beyond its end is left out.
    pub(crate) fn parts(&self, range: Range<u64>) -> Vec<Part> {
        let uki_at = iso::HEAD + self.fat.uki_at();
        let uki_end = uki_at + self.fat.uki();
        let cut = |of: Range<u64>| of.start.max(range.start)..of.end.min(range.end);
        let (head, uki, tail) = (cut(0..uki_at), cut(uki_at..uki_end), cut(uki_end..self.size()));
        let mut parts = vec![];
        if !head.is_empty() {
            let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let bytes = self.head();
            parts.extend(
                bytes.get(place(head.start)..place(head.end)).map(|it| Part::Bytes(it.to_vec())),
            );
        }
        if !uki.is_empty() {
            parts.push(Part::Uki(uki.start - uki_at..uki.end - uki_at));
        }
        if !tail.is_empty() {
            // Less than a cluster, or the padding of the smallest file system.
            let length = usize::try_from(tail.end - tail.start).unwrap_or_default();
            parts.push(Part::Bytes(vec![0; length]));
        }
        parts
    }

    /// Everything before the UKI.
    fn head(&self) -> Vec<u8> {
        let mut head = iso::head(self.fat.size());
        head.extend(self.fat.head(self.credential.as_bytes()));
        head
    }
}

impl fmt::Debug for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL gives access to secrets.
        f.debug_tuple("Medium").field(&self.fat).finish()
    }
}
