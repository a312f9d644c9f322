//! OCI images as machines boot them: manifests by architecture, layers by media type, blobs
//! streamed, verified and kept.
//!
//! [`Resolver`] finds the layers that boot an image, [`Store`] fetches a layer once for all
//! machines, and [`respond`] answers one HTTP request with it. Which images may be asked for, and
//! by whom, is left to the caller.

pub mod allow;
pub mod digest;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod machine;
pub mod manifest;
mod range;
pub mod reference;
pub mod registry;
pub mod resolve;
mod respond;
pub mod store;

pub use allow::AllowList;
pub use digest::Digest;
pub use reference::{Name, Reference, Registry, Version};
pub use registry::Registries;
pub use resolve::{Image, Resolver};
pub use respond::{Body, Content, respond};
pub use store::{Blob, Store};
