//! The registry that reports are posted to.

mod client;
mod tls;
mod url;

pub(crate) use client::{Client, RequestError};
pub(crate) use tls::TlsError;
pub(crate) use url::{InvalidUrl, RegistryUrl};
