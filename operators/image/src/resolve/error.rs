use super::limits::{MAX_DEPTH, MAX_DOCUMENTS};
use crate::{
    allow::NotAllowed,
    manifest,
    reference::{self, Reference},
    registry,
};

/// Why an image cannot be booted in a given way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// There is no image for this architecture.
    #[error("image is not built for architecture {architecture} (has: {has})")]
    Architecture {
        /// The architecture that was asked for.
        architecture: String,
        /// The architectures that there are.
        has: String,
    },
    /// A layer is missing.
    #[error("image has no {what} layer: push one of media type {media_type} (has: {has})")]
    Layer {
        /// Kernel, initramfs, UKI, disk image.
        what: &'static str,
        /// The media type that was looked for.
        media_type: &'static str,
        /// The media types that there are.
        has: String,
    },
    /// A layer cannot be fetched.
    #[error("the {what} layer of the image: {why}")]
    Unusable {
        /// Kernel, initramfs, squashfs, UKI, disk image.
        what: &'static str,
        /// What is wrong.
        why: manifest::MalformedManifest,
    },
}

/// Why the layers of an image could not be found.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The reference is invalid.
    #[error(transparent)]
    Reference(#[from] reference::MalformedReference),
    /// The registry is not allowed.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The registry request failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The registry sent something that is not an image.
    #[error("image {image}: {source}")]
    Manifest {
        /// The image.
        image: Reference,
        /// What is wrong.
        source: manifest::MalformedManifest,
    },
    /// Indexes are nested too deeply, or there are too many.
    #[error(
        "image {image}: its index is nested more than {MAX_DEPTH} levels deep, or references more \
         than {MAX_DOCUMENTS} documents: push a flat index"
    )]
    Nested {
        /// The image.
        image: Reference,
    },
}

impl Error {
    /// Whether the same image may be found later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_transient(),
            Self::Reference(_)
            | Self::NotAllowed(_)
            | Self::Manifest { .. }
            | Self::Nested { .. } => false,
        }
    }

    /// A CamelCase reason from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Reference(_) => "MalformedReference",
            Self::NotAllowed(_) => "RegistryNotAllowed",
            Self::Registry(error) => error.reason(),
            Self::Manifest { .. } | Self::Nested { .. } => "MalformedManifest",
        }
    }
}
