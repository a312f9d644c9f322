use crate::{
    digest::Digest,
    reference::{Name, Registry, Version},
};
use std::sync::Arc;

/// Why a registry did not give what was asked for.
///
/// Cheap to clone, because one failure is shared by everybody who waited for the same thing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection, no answer in time, or an answer that broke off.
    #[error("registry {registry} does not answer")]
    Unreachable {
        /// The registry.
        registry: Registry,
        /// What happened.
        source: Arc<reqwest::Error>,
    },
    /// An answer that took too long as a whole.
    #[error("registry {registry} took too long to answer")]
    Deadline {
        /// The registry.
        registry: Registry,
    },
    /// A body that came in drips.
    #[error("registry {registry} sends too slowly: try again when it is less busy, or mirror it")]
    TooSlow {
        /// The registry.
        registry: Registry,
    },
    /// It wants a password, which we have none of.
    #[error("registry {registry} refuses {name} without a login: make it public, or mirror it")]
    LoginNeeded {
        /// The registry.
        registry: Registry,
        /// What was asked for.
        name: Name,
    },
    /// The token service did not play along.
    #[error("token service of registry {registry}: {what}")]
    Token {
        /// The registry.
        registry: Registry,
        /// What it did.
        what: String,
    },
    /// No such image.
    #[error("image {name} has no version {version}: check the name, or push it")]
    NoImage {
        /// The image.
        name: Name,
        /// The version.
        version: Version,
    },
    /// No such blob.
    #[error("image {name} has no blob {digest}")]
    NoBlob {
        /// The image.
        name: Name,
        /// The blob.
        digest: Digest,
    },
    /// Too many requests.
    #[error("registry {registry} limits the rate of requests")]
    RateLimited {
        /// The registry.
        registry: Registry,
    },
    /// Any other status.
    #[error("registry {registry} answers with status {status}")]
    Status {
        /// The registry.
        registry: Registry,
        /// The status.
        status: u16,
    },
    /// A manifest that no image needs.
    #[error("manifest of {name} is larger than {limit} bytes")]
    TooLarge {
        /// The image.
        name: Name,
        /// What is accepted.
        limit: usize,
    },
    /// Content that is not what its name says.
    #[error("registry {registry} sent content that does not have the digest {expected}")]
    DigestMismatch {
        /// The registry.
        registry: Registry,
        /// What was asked for.
        expected: Digest,
    },
}

impl Error {
    /// Whether the same request may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::TooSlow { .. }
            | Self::RateLimited { .. } => true,
            // Request Timeout, Too Early.
            Self::Status { status, .. } => matches!(status, 408 | 425 | 500..),
            Self::LoginNeeded { .. }
            | Self::Token { .. }
            | Self::NoImage { .. }
            | Self::NoBlob { .. }
            | Self::TooLarge { .. }
            | Self::DigestMismatch { .. } => false,
        }
    }
}
