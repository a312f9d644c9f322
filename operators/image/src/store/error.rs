use crate::{digest::Digest, reference::Registry, registry};
use std::{io, sync::Arc};

/// Why a blob is not available.
///
/// Cheap to clone: one failed download answers everyone who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The registry request failed.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The blob is larger than the store, or than what other downloads leave.
    #[error("{size} bytes do not fit in the image cache of {limit}: increase --image-cache-size")]
    Full {
        /// Size of the blob.
        size: u64,
        /// Size of the store.
        limit: u64,
    },
    /// The blob is larger than what one account may download at a time.
    #[error(
        "a layer of {size} bytes is more than half of the image cache of {limit}, which is what one organization may \
         have downloaded at a time: set --image-cache-size to {} or more",
        size.saturating_mul(2),
    )]
    Large {
        /// Size of the blob.
        size: u64,
        /// Size of the store.
        limit: u64,
    },
    /// More than one account may download at a time.
    #[error(
        "{size} bytes are more than what one organization may have downloaded at a time, half of the image \
         cache of {limit}: try again when its other downloads are done, or increase --image-cache-size"
    )]
    Share {
        /// Bytes that were to be downloaded.
        size: u64,
        /// Size of the store.
        limit: u64,
    },
    /// The registry sends a size other than the manifest's.
    #[error(
        "registry {registry} sent {sent} bytes for {digest}, but the manifest says {expected}: \
         push the image again"
    )]
    Size {
        /// The registry.
        registry: Registry,
        /// The blob.
        digest: Digest,
        /// Size according to the manifest.
        expected: u64,
        /// Size according to the registry, or the bytes received.
        sent: u64,
    },
    /// Nobody waits for the download any more.
    #[error("download canceled: no client is waiting for it")]
    Abandoned,
    /// The disk failed.
    #[error("image cache failed")]
    Disk(#[source] Arc<io::Error>),
    /// The registry took too long to start sending.
    #[error("the download did not start in time")]
    Deadline,
    /// The process is shutting down.
    #[error("shutting down")]
    Shutdown,
}

impl Error {
    /// Whether the disk has no room left, or gives us no more of it.
    pub(super) fn is_disk_full(&self) -> bool {
        let Self::Disk(error) = self else { return false };
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}
