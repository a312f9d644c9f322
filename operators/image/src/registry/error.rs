use super::Access;
use crate::{
    digest::Digest,
    reference::{Name, Registry, Version},
};
use reqwest::StatusCode;
use std::sync::Arc;

/// Why a registry request failed.
///
/// Cheap to clone: one failure answers everyone who waited for the same thing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// No connection, no response in time, or a response that broke off.
    #[error("registry {registry} is unreachable")]
    Unreachable {
        /// The registry.
        registry: Registry,
        /// What happened.
        source: Arc<reqwest::Error>,
    },
    /// The response as a whole took too long.
    #[error("registry {registry} did not respond in time")]
    Deadline {
        /// The registry.
        registry: Registry,
    },
    /// The body arrived too slowly.
    #[error("the download from registry {registry} is too slow: try again later, or use a mirror")]
    TooSlow {
        /// The registry.
        registry: Registry,
    },
    /// The registry asks for a login, and we have none.
    #[error("registry {registry} requires a login for {name}: make it public, or use a mirror")]
    LoginNeeded {
        /// The registry.
        registry: Registry,
        /// What was asked for.
        name: Name,
    },
    /// The registry, or its token service, refuses the login that we have.
    #[error(
        "registry {registry} refuses the login for {name} with status {status}: check the password, and \
         that it may pull"
    )]
    LoginRefused {
        /// The registry.
        registry: Registry,
        /// What was asked for.
        name: Name,
        /// The status.
        status: u16,
    },
    /// The registry sends us to a token service that we have no login for.
    #[error(
        "registry {registry} wants its login sent to {service}: if that is right, add a login for \
         {service}"
    )]
    Elsewhere {
        /// The registry.
        registry: Registry,
        /// The token service.
        service: String,
    },
    /// The token service failed.
    #[error("token service of registry {registry}: {what}")]
    Token {
        /// The registry.
        registry: Registry,
        /// What went wrong.
        what: String,
    },
    /// The image or version does not exist.
    #[error("image {name} has no tag or digest {version}: check the name, or push it")]
    NoImage {
        /// The image.
        name: Name,
        /// The version.
        version: Version,
    },
    /// The blob does not exist.
    #[error("image {name} has no blob {digest}")]
    NoBlob {
        /// The image.
        name: Name,
        /// The blob.
        digest: Digest,
    },
    /// Too many requests.
    #[error("registry {registry} is rate-limiting requests")]
    RateLimited {
        /// The registry.
        registry: Registry,
    },
    /// Any other error status.
    #[error("registry {registry} responded with status {status}")]
    Status {
        /// The registry.
        registry: Registry,
        /// The status.
        status: u16,
    },
    /// The manifest is too large.
    #[error("manifest of {name} is larger than {limit} bytes")]
    TooLarge {
        /// The image.
        name: Name,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The content does not match its digest.
    #[error("registry {registry} sent content that does not have the digest {expected}")]
    DigestMismatch {
        /// The registry.
        registry: Registry,
        /// The digest that was asked for.
        expected: Digest,
    },
}

impl Error {
    pub(super) fn of_status(access: &Access, status: StatusCode) -> Self {
        let (registry, name) = (access.name().registry().clone(), access.name().clone());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if access.login().is_some() => {
                Self::LoginRefused { registry, name, status: status.as_u16() }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Self::LoginNeeded { registry, name }
            }
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { registry },
            status => Self::Status { registry, status: status.as_u16() },
        }
    }

    pub(super) fn unreachable(registry: &Registry, error: reqwest::Error) -> Self {
        // The address may carry a signature that stands for a login.
        let source = Arc::new(error.without_url());
        Self::Unreachable { registry: registry.clone(), source }
    }

    /// Whether it was refused because of who asked.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::LoginNeeded { .. } | Self::LoginRefused { .. } | Self::Elsewhere { .. }
        )
    }

    /// A CamelCase reason from a small fixed set.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::NoImage { .. } => "ImageNotFound",
            Self::LoginNeeded { .. } => "LoginNeeded",
            Self::LoginRefused { .. } => "LoginRefused",
            Self::Elsewhere { .. } => "LoginMissing",
            _ => "RegistryFailed",
        }
    }

    /// Whether the same request may succeed later without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::TooSlow { .. }
            | Self::RateLimited { .. } => true,
            // Request Timeout, Too Early.
            Self::Status { status, .. } => matches!(status, 408 | 425 | 500..),
            Self::LoginNeeded { .. }
            | Self::LoginRefused { .. }
            | Self::Elsewhere { .. }
            | Self::Token { .. }
            | Self::NoImage { .. }
            | Self::NoBlob { .. }
            | Self::TooLarge { .. }
            | Self::DigestMismatch { .. } => false,
        }
    }
}
