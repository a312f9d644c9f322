//! What there is to be had.

use metal_dhcp::{
    fair_queue::Standing,
    tftp::{ReadRequest, Refusal},
};
use std::{net::IpAddr, path::PathBuf, sync::Arc};

/// Which file a request gets. Asked by several threads, and for each request of anybody: it must
/// not wait.
pub trait Files: Send + Sync {
    /// How welcome a client is when there are too many, and it has no address from us.
    fn standing_of(&self, client: IpAddr) -> Standing;

    /// What a client gets that asks `here`, an address of ours.
    ///
    /// # Errors
    ///
    /// If the client does not get it.
    fn find(
        &self,
        request: &ReadRequest<'_>,
        client: IpAddr,
        here: IpAddr,
    ) -> Result<Found, Refusal>;
}

/// Where a file is that a client may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Below a folder. Symbolic links that stay below it are followed.
    File {
        /// The folder.
        root: PathBuf,
        /// The path from there.
        path: String,
        /// What it is called in the log.
        name: String,
    },
    /// In memory.
    Bytes {
        /// What it is called in the log.
        name: String,
        /// The whole of it.
        bytes: Arc<[u8]>,
    },
}

impl Found {
    /// What it is called in the log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Bytes { name, .. } => name,
        }
    }
}
