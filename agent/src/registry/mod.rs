//! The registry: where the report goes.

mod client;
mod tls;
mod url;

pub use client::{Client, RequestError};
pub use tls::TlsError;
pub use url::{InvalidUrl, RegistryUrl};
