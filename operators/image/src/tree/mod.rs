//! The files of an image, for machines that boot from its folder `/disk`.
//!
//! Names in a layer are never used as names in our file system. The files of an image are stored
//! under numbers in one folder, and an index maps paths to them. Links are resolved in the index,
//! so no link can point outside of the image.

mod archive;
mod cache;
mod error;
mod folder;
mod header;
mod index;
mod layered;
mod path;
mod promise;
mod state;
mod sums;
mod table;
mod trees;
mod unpack;
mod unpacked;
mod wanted;

pub use error::{Error, Unusable};
pub use folder::{Folder, FolderError, PlatformImage, digest, folder};
pub use index::{File, Index};
pub use layered::Files;
pub use trees::{Config, Resolved, Trees};
pub use unpacked::{Tree, TreeFile};
pub use wanted::{Opener, Wanted};

#[cfg(feature = "testing")]
pub(crate) use trees::unpack_into;
#[cfg(feature = "fuzzing")]
pub(crate) use unpack::{Sink, unpack_archive};

/// Limits for an image, and for the cost of unpacking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of layers.
    pub layers: usize,
    /// Number of entries in all layers, including those outside of `/disk`.
    pub entries: usize,
    /// Approximate memory for the names of all files, folders and links in `/disk`, in bytes.
    pub index: usize,
    /// Size of all layers, decompressed, in bytes.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { layers: 128, entries: 500_000, index: 32 << 20, bytes: 64 << 30 }
    }
}
