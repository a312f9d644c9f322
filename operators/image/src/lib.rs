//! OCI images for booting machines: manifests selected by architecture, layers by media type, blobs
//! streamed, verified and cached.
//!
//! [`Resolver`] finds the layers that boot an image, [`Store`] fetches each layer once for all
//! machines, and [`respond`] serves one HTTP request from it. [`Trees`] has the files of images that are
//! no more than a folder. Which images may be requested, and by
//! whom, is up to the caller.

pub mod allow;
pub mod architecture;
pub mod args;
pub mod digest;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod login;
pub mod manifest;
mod range;
pub mod reference;
pub mod registry;
pub mod resolve;
mod respond;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tree;

pub use allow::AllowList;
pub use args::RegistryArgs;
pub use digest::Digest;
pub use login::Logins;
pub use reference::{Name, Reference, Registry, Version};
pub use registry::Registries;
pub use resolve::{Image, Resolver};
pub use respond::{Body, Content, respond};
pub use store::{Blob, Store};
pub use tree::{Opener, Tree, Trees, Wanted};
