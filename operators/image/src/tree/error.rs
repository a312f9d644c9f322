use crate::{resolve, store};
use std::{io, sync::Arc};

/// Why an image cannot be used.
///
/// Cheap to clone: one failure answers everyone who waits for the image.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It was not found.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// A layer could not be fetched.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// There is no image for the architecture.
    #[error(transparent)]
    Missing(#[from] resolve::Missing),
    /// A layer is not an archive, or has content that no boot image needs.
    #[error("layer {layer}: {what}")]
    Layer {
        /// Its number, counted from 1.
        layer: usize,
        /// What is wrong.
        what: Unusable,
    },
    /// It has more layers than any real image.
    #[error("the image has more than {0} layers")]
    TooManyLayers(usize),
    /// It has no `/disk` folder.
    #[error("the image has no folder /disk: put the boot files there")]
    NoDisk,
    /// There is no room for it besides images that cannot make room.
    #[error(
        "the image takes {} or more, and those that cannot make room for it {} of the {} for all: \
         name fewer images in Machines, or increase --kept-images-size and the volume",
        size_text(*size),
        size_text(*kept),
        size_text(*limit)
    )]
    NoRoom {
        /// What it takes, or more, in bytes.
        size: u64,
        /// What the others take that are needed, in use or being fetched.
        kept: u64,
        /// What all images may take.
        limit: u64,
    },
    /// The cache does not contain what was stored.
    #[error("the cached image is invalid")]
    Damaged,
    /// The disk failed.
    #[error("the image cache failed")]
    Disk(#[source] Arc<io::Error>),
    /// The process is shutting down.
    #[error("shutting down")]
    Shutdown,
}

/// What is wrong with a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Neither a tar archive nor one compressed with gzip or zstd.
    #[error("not a tar archive: {0}")]
    Archive(String),
    /// It is truncated.
    #[error("the archive is truncated")]
    Cut,
    /// It has more entries than images have.
    #[error("more than {0} entries")]
    TooManyEntries(usize),
    /// It has more files below /disk than images have.
    #[error("too many files in /disk")]
    TooManyFiles,
    /// It is larger than images may be.
    #[error("more than {0} bytes, decompressed")]
    TooLarge(u64),
    /// A path that leads out of the image, or is too long.
    #[error("{path:?}: {why}")]
    Path {
        /// The beginning of the path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// In the largest unit in which it is not less than one, with one digit after the point, cut.
fn size_text(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes >> shift > 0 {
            let tenths = ((bytes >> (shift - 10)) & 1023) * 10 / 1024;
            return format!("{}.{tenths} {unit}", bytes >> shift);
        }
    }
    format!("{bytes} bytes")
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}

impl Error {
    /// Whether the same image may be usable later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Resolve(error) => error.is_transient(),
            Self::Store(store::Error::Registry(error)) => error.is_transient(),
            Self::Store(
                store::Error::Full { .. } | store::Error::Large { .. } | store::Error::Size { .. },
            )
            | Self::Missing(_)
            | Self::Layer { .. }
            | Self::TooManyLayers(_)
            | Self::NoDisk
            | Self::NoRoom { .. } => false,
            Self::Store(_) | Self::Damaged | Self::Disk(_) | Self::Shutdown => true,
        }
    }

    /// Whether the registry has refused whoever asks, and might give it to somebody else.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Resolve(resolve::Error::Registry(error))
            | Self::Store(store::Error::Registry(error)) => error.is_refusal(),
            _ => false,
        }
    }

    /// A CamelCase reason from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Resolve(error) => error.reason(),
            Self::Store(store::Error::Full { .. } | store::Error::Large { .. })
            | Self::NoRoom { .. } => "CacheFull",
            Self::Store(store::Error::Disk(_)) | Self::Disk(_) | Self::Damaged => "CacheFailed",
            Self::Store(store::Error::Registry(error)) => error.reason(),
            Self::Store(_) => "RegistryFailed",
            Self::Missing(_) => "ArchitectureMissing",
            Self::Layer { .. } | Self::TooManyLayers(_) => "MalformedLayer",
            Self::NoDisk => "NoDisk",
            Self::Shutdown => "Shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::size_text;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (90 << 30, "90.0 GiB"),
            ((1 << 30) + (1 << 29), "1.5 GiB"),
            ((1 << 30) - 1, "1023.9 MiB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }
}
