use crate::{digest::Digest, reference::Registry, registry};
use std::{io, sync::Arc};

/// Why a blob cannot be had.
///
/// Cheap to clone, because one failed download answers everybody who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The registry did not give it.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// Larger than the store, or than what is left beside other downloads.
    #[error("no room for {size} bytes in an image cache of {limit}: raise --image-cache-size")]
    Full {
        /// Size of the blob.
        size: u64,
        /// Size of the store.
        limit: u64,
    },
    /// The registry sends something else than the manifest says.
    #[error(
        "registry {registry} sends {sent} bytes for {digest}, of which the manifest says {expected}: \
         push the image again"
    )]
    Size {
        /// The registry.
        registry: Registry,
        /// The blob.
        digest: Digest,
        /// Bytes, as the manifest says.
        expected: u64,
        /// Bytes, as the registry says, or as many as came.
        sent: u64,
    },
    /// Nobody waits for it any more.
    #[error("download ended: nobody waits for it any more")]
    Abandoned,
    /// The disk failed.
    #[error("image cache is not usable")]
    Disk(#[source] Arc<io::Error>),
    /// The registry took too long to begin.
    #[error("image did not begin to arrive in time")]
    Deadline,
    /// The process is ending.
    #[error("shutting down")]
    Shutdown,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Disk(Arc::new(error))
    }
}
