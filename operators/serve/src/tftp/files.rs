//! Which files can be requested.

use metal_dhcp::{
    fair_queue::Priority,
    tftp::{ReadRequest, Refusal},
};
use std::{net::IpAddr, path::PathBuf, sync::Arc};

/// Determines the file for a request. Called by several threads, for requests of any client, so it
/// must not block.
pub trait Files: Send + Sync {
    /// The priority of a client without an address from us, if there are too many.
    fn priority_of(&self, client: IpAddr) -> Priority;

    /// The file for a request that was sent to `here`, one of our addresses.
    ///
    /// # Errors
    ///
    /// If the request is refused.
    fn find(
        &self,
        request: &ReadRequest<'_>,
        client: IpAddr,
        here: IpAddr,
    ) -> Result<Found, Refusal>;
}

/// The location of a file to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// In a folder. Symbolic links that do not leave it are followed.
    File {
        /// The folder.
        root: PathBuf,
        /// The path from there.
        path: String,
        /// Its name in the log.
        name: String,
    },
    /// In memory.
    Bytes {
        /// Its name in the log.
        name: String,
        /// Its content.
        bytes: Arc<[u8]>,
    },
}

impl Found {
    /// Its name in the log.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Bytes { name, .. } => name,
        }
    }
}
