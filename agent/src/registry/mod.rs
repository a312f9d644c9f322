//! The registry that reports are posted to.

mod client;
mod tls;
mod url;

pub(crate) use client::{Client, RequestError};
pub use tls::{TlsError, Trust};
pub use url::{InvalidUrl, RegistryUrl};
