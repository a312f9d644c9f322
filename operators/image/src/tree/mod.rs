//! Files of an image, for machines that boot from its folder `/disk`.
//!
//! Nothing of a layer becomes a name in our file system. The files of an image lie beside each other
//! under numbers, and an index says which path leads to which: links are followed in the index, so
//! whatever they say, none leads out of the image.

mod archive;
mod cache;
mod error;
mod header;
mod index;
mod path;
mod sums;
mod trees;
mod unpack;
mod unpacked;
mod wanted;

pub use error::{Error, Unusable};
pub use index::{File, Index};
pub use trees::{Config, Resolved, Trees};
pub use unpacked::{Tree, TreeFile};
pub use wanted::{Opener, Wanted};

#[cfg(feature = "testing")]
pub(crate) use trees::unpack_into;
#[cfg(feature = "fuzzing")]
pub(crate) use unpack::{Sink, unpack_archive};

/// What one image may hold, and what it may cost to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Layers of an image.
    pub layers: usize,
    /// Entries of all layers together, those elsewhere than below `/disk` among them.
    pub entries: usize,
    /// Bytes of memory for the names of all files, folders and links below `/disk`, about.
    pub index: usize,
    /// Bytes of all layers together, decompressed.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { layers: 128, entries: 500_000, index: 32 << 20, bytes: 64 << 30 }
    }
}
