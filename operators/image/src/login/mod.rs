//! Logins for registries, in the format of container tools (`~/.docker/config.json`, as in Secrets of type
//! `kubernetes.io/dockerconfigjson`).
//!
//! A login is for the host that it stands at, and is sent nowhere else: neither to where that host redirects,
//! nor to a token service elsewhere, unless that has a login of its own.

mod read;

pub use read::MalformedLogin;

use crate::reference::{Name, Registry};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{fmt, sync::Arc};

/// A user name and a password. Neither is ever shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Logins of one user of registries. Cheap to clone. Without any, registries are asked anonymously.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Logins(Arc<[Entry]>);

/// A login, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Entry {
    registry: Registry,
    /// What the names of repositories begin with; empty for all of the registry.
    path: Box<str>,
    login: Login,
}

impl Entry {
    /// Whether it is for this repository.
    fn is_for(&self, name: &Name) -> bool {
        let rest = name.repository().strip_prefix(&*self.path);
        let is_below =
            |rest: &str| self.path.is_empty() || rest.is_empty() || rest.starts_with('/');
        self.registry == *name.registry() && rest.is_some_and(is_below)
    }
}

impl Logins {
    /// Those of several configurations; of two for one thing the first counts.
    pub fn joined(all: impl IntoIterator<Item = Self>) -> Self {
        Self(all.into_iter().flat_map(|it| it.0.to_vec()).collect())
    }

    /// Whether there is one for this repository.
    pub fn has(&self, name: &Name) -> bool {
        self.of(name).is_some()
    }

    /// A configuration for container tools that has the login for this repository, and nothing else; `None` if
    /// there is none.
    pub fn file_for(&self, name: &Name) -> Option<String> {
        let Login { username, password } = self.of(name)?;
        let auth = STANDARD.encode(format!("{username}:{password}"));
        Some(json!({ "auths": { (name.to_string()): { "auth": auth } } }).to_string())
    }

    /// The login for a repository: of several the one for the longest part of its name.
    pub(crate) fn of(&self, name: &Name) -> Option<&Login> {
        let fitting = self.0.iter().rev().filter(|entry| entry.is_for(name));
        fitting.max_by_key(|entry| entry.path.len()).map(|entry| &entry.login)
    }

    /// The logins that stand at a host as a whole.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&Registry, &Login)> {
        let whole = self.0.iter().filter(|entry| entry.path.is_empty());
        whole.map(|entry| (&entry.registry, &entry.login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_login_is_for_the_longest_name_that_it_stands_at_and_for_no_other_registry() {
        let logins = logins(&[
            ("ghcr.io", "all"),
            ("ghcr.io/owner", "owner"),
            ("https://ghcr.io/owner/image", "image"),
            ("https://index.docker.io/v1/", "hub"),
            ("registry.example:5000", "port"),
        ]);
        let cases = [
            ("ghcr.io/other/image", Some("all")),
            ("ghcr.io/owner/other", Some("owner")),
            ("ghcr.io/owner", Some("owner")),
            ("ghcr.io/ownership/image", Some("all")),
            ("ghcr.io/owner/image", Some("image")),
            ("debian", Some("hub")),
            ("docker.io/a/b", Some("hub")),
            ("registry.example:5000/a", Some("port")),
            ("registry.example/a", None),
            ("registry.example:5001/a", None),
            ("evil.ghcr.io/owner/image", None),
        ];
        for (name, login) in cases {
            let name: Name = name.parse().unwrap();
            let found = logins.of(&name).map(|login| login.username.as_str());
            assert_eq!(found, login, "{name}");
            assert_eq!(logins.has(&name), login.is_some());
        }
    }

    #[test]
    fn of_two_secrets_with_a_login_for_one_thing_the_first_counts() {
        let both =
            Logins::joined([logins(&[("ghcr.io", "first")]), logins(&[("ghcr.io", "second")])]);
        let name: Name = "ghcr.io/a/b".parse().unwrap();
        assert_eq!(both.of(&name).unwrap().username, "first");
        assert_eq!(both.hosts().count(), 2);
    }

    #[test]
    fn a_file_for_one_repository_has_no_login_for_another() {
        let logins = logins(&[("ghcr.io", "all"), ("ghcr.io/owner", "owner"), ("quay.io", "quay")]);
        let name: Name = "ghcr.io/owner/image".parse().unwrap();
        let file = logins.file_for(&name).unwrap();
        let read = Logins::parse(file.as_bytes()).unwrap();
        assert_eq!((read.0.len(), read.of(&name)), (1, logins.of(&name)));
        assert!(!read.has(&"ghcr.io/owner/other".parse().unwrap()), "nor for one beside it");
        assert_eq!(logins.file_for(&"docker.io/a/b".parse().unwrap()), None);
    }

    #[test]
    fn a_password_is_not_shown() {
        let shown = format!("{:?}", logins(&[("ghcr.io", "somebody")]));
        assert!(!shown.contains("somebody") && !shown.contains("hunter2"), "{shown}");
    }

    fn logins(of: &[(&str, &str)]) -> Logins {
        let auths: serde_json::Map<_, _> = of
            .iter()
            .map(|(host, user)| {
                ((*host).to_owned(), json!({ "username": user, "password": "hunter2" }))
            })
            .collect();
        Logins::parse(json!({ "auths": auths }).to_string().as_bytes()).unwrap()
    }
}
