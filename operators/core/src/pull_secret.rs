//! Secrets with logins for registries, as objects name them.

use k8s_openapi::api::core::v1::Secret;
use std::fmt;

/// The only type that is read, so that no other Secret of the namespace is taken for one.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// The key of its content.
const KEY: &str = ".dockerconfigjson";

/// A Secret, and what names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSecret {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The field that names it.
    pub field: &'static str,
}

impl fmt::Display for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{} of {}", self.namespace, self.name, self.field)
    }
}

/// Why a Secret cannot be used. Shows nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PullSecretError {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(PullSecret),
    /// There can be none: it would be another path at the API server.
    #[error("{0}: this is no name of a Secret")]
    NoName(PullSecret),
    /// It is of another type, or empty.
    #[error("{0} is not of type {TYPE}: make it with `kubectl create secret docker-registry`")]
    OtherType(PullSecret),
}

impl PullSecretError {
    /// A CamelCase reason from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "PullSecretMissing",
            Self::NoName(_) | Self::OtherType(_) => "PullSecretUnusable",
        }
    }
}

impl PullSecret {
    /// Checks its name by [`is_name`].
    ///
    /// # Errors
    ///
    /// If no Secret can have that name.
    pub fn check_name(&self) -> Result<(), PullSecretError> {
        if is_name(&self.name) { Ok(()) } else { Err(PullSecretError::NoName(self.clone())) }
    }

    /// What is in it, if it is there.
    ///
    /// # Errors
    ///
    /// It is missing, or something else.
    pub fn content<'a>(&self, found: Option<&'a Secret>) -> Result<&'a [u8], PullSecretError> {
        let found = found.ok_or_else(|| PullSecretError::Missing(self.clone()))?;
        let is_one = found.type_.as_deref() == Some(TYPE);
        let content = found.data.as_ref().and_then(|data| data.get(KEY)).filter(|_| is_one);
        let content = content.map(|content| content.0.as_slice());
        content.ok_or_else(|| PullSecretError::OtherType(self.clone()))
    }
}

/// Whether this is the name of a Secret (RFC 1123, section 2.1), which becomes a part of a URL.
pub fn is_name(text: &str) -> bool {
    let is_fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    text.bytes().all(is_fine) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// Names of Secrets as they are listed, in this order, each once.
pub fn names<'a>(listed: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = vec![];
    for name in listed.into_iter().map(str::trim) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn each_secret_is_named_once_and_in_order() {
        assert_eq!(names(["b", "a", "b", "", " a "]), ["b", "a"]);
    }

    fn named(name: &str) -> PullSecret {
        let [namespace, name] = ["n", name].map(str::to_owned);
        PullSecret { namespace, name, field: "spec.imagePullSecrets" }
    }

    #[test]
    fn a_name_is_no_path_to_another_object() {
        for name in ["a", "registry-login", "ghcr.io"] {
            assert_eq!(named(name).check_name(), Ok(()), "{name}");
        }
        for name in ["", "..", "../../other/secrets/a", "a/b", "a?watch=1", "A", "a%2fb", ".a"] {
            assert!(named(name).check_name().is_err(), "{name}");
        }
    }

    #[test]
    fn only_a_secret_of_the_right_type_is_taken_for_one() {
        let named = named("a");
        let secret = |type_: &str, key: &str| Secret {
            type_: Some(type_.to_owned()),
            data: Some([(key.to_owned(), ByteString(b"hunter2".to_vec()))].into()),
            ..Secret::default()
        };
        assert_eq!(named.content(Some(&secret(TYPE, KEY))), Ok(b"hunter2".as_slice()));
        let other = [secret("Opaque", KEY), secret(TYPE, "password"), Secret::default()];
        for other in &other {
            let error = named.content(Some(other)).unwrap_err();
            assert_eq!(error.reason(), "PullSecretUnusable");
            let text = error.to_string();
            assert!(text.starts_with("Secret n/a of spec.imagePullSecrets is not of type"));
            assert!(!text.contains("hunter2"), "{text}");
        }
        let error = named.content(None).unwrap_err();
        assert_eq!(error.to_string(), "Secret n/a of spec.imagePullSecrets is missing");
    }
}
