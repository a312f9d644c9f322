//! Logins for the registries of a token's images, from the Secrets that it names.

use super::installer::{Source, installer, source};
use crate::pull_secret::{self, PullSecret, PullSecretError};
use metal_api::{BootInstaller, BootToken};

/// The field that names them.
pub const FIELD: &str = "spec.imagePullSecrets";
/// The flag that names that of the server's installer.
const FLAG: &str = "--installer-pull-secret";

/// Why a machine cannot get the login for its images. Shows nothing of the content of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLogin {
    /// A Secret is missing, or has another type.
    #[error(transparent)]
    Unusable(#[from] PullSecretError),
    /// Its content is invalid.
    #[error("{0}: {1}")]
    Malformed(PullSecret, String),
    /// The server is not allowed to read it.
    #[error(
        "hosts may not read {0}: let it, by a Role there that names the Secret, and a RoleBinding \
         (docs/hosts-pull-secrets.md)"
    )]
    Forbidden(PullSecret),
    /// The API server does not answer.
    #[error("the API server does not give {0} out: {1}")]
    Unread(PullSecret, String),
    /// It is for other registries.
    #[error("no Secret of {0} has a login for {1}")]
    Missing(&'static str, String),
    /// It could be read in transit.
    #[error(
        "{FIELD}: the installer needs a login for {0}, and is given none by plain HTTP \
         (--service-url)"
    )]
    PlainHttp(String),
}

impl NoLogin {
    /// A CamelCase reason from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unusable(unusable) => unusable.reason(),
            Self::Malformed(..) => "PullSecretUnusable",
            Self::Forbidden(_) => "PullSecretForbidden",
            Self::Unread(..) => "PullSecretUnread",
            Self::Missing(..) => "LoginMissing",
            Self::PlainHttp(_) => "LoginByHTTP",
        }
    }
}

/// Whether a token names any.
pub fn needs_login(token: &BootToken) -> bool {
    !secrets(token).is_empty()
}

/// The Secrets that a token names, in its order, each once.
pub fn secrets(token: &BootToken) -> Vec<PullSecret> {
    let listed = token.spec.image_pull_secrets.iter().map(|it| it.name.as_str());
    let namespace = token.metadata.namespace.clone().unwrap_or_default();
    let named = |name: &str| {
        let (namespace, name) = (namespace.clone(), name.to_owned());
        PullSecret { namespace, name, field: FIELD }
    };
    pull_secret::names(listed).into_iter().map(named).collect()
}

/// The Secret of this name, for the installer of tokens that name none.
pub fn of_server(namespace: &str, name: &str) -> PullSecret {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    PullSecret { namespace, name, field: FLAG }
}

/// The images of a token: what is installed, and the installer, if it is one.
pub fn images<'a>(token: &'a BootToken, default: Option<&'a BootInstaller>) -> Vec<&'a str> {
    let image = token.spec.image.as_str();
    let source = installer(token, default).and_then(|it| source(it, image));
    let installer = match source {
        Some(Source::Image(installer)) if installer != image => Some(installer),
        Some(Source::Image(_) | Source::Mirror { .. }) | None => None,
    };
    [image].into_iter().chain(installer).collect()
}
