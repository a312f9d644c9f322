//! Which registries images may come from.

use crate::reference::{MalformedReference, Registry};
use std::{collections::BTreeSet, fmt};

/// The default list.
const DEFAULT: &str = "ghcr.io";

/// The registries that images may come from, matched by exact host and port, ignoring case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(Option<BTreeSet<Registry>>);

/// A registry that is not on the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "registry {registry} is not allowed; allowed: {allowed}. Use an image from there, or add it to --allowed-registries"
)]
pub struct NotAllowed {
    /// The registry.
    pub registry: Registry,
    /// The whole list.
    pub allowed: String,
}

impl AllowList {
    /// Allows these registries, or only `ghcr.io` if there are none.
    ///
    /// # Errors
    ///
    /// If one of them is not a host with an optional port.
    pub fn new<'a>(
        registries: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, MalformedReference> {
        let given = registries.into_iter().map(str::trim).filter(|text| !text.is_empty());
        let mut list: BTreeSet<Registry> = given.map(str::parse).collect::<Result<_, _>>()?;
        if list.is_empty() {
            list.insert(DEFAULT.parse()?);
        }
        Ok(Self(Some(list)))
    }

    /// Allows every registry.
    pub fn any() -> Self {
        Self(None)
    }

    /// Checks that images may come from `registry`.
    ///
    /// # Errors
    ///
    /// If they may not.
    pub fn check(&self, registry: &Registry) -> Result<(), NotAllowed> {
        if self.0.as_ref().is_none_or(|list| list.contains(registry)) {
            return Ok(());
        }
        Err(NotAllowed { registry: registry.clone(), allowed: self.to_string() })
    }
}

impl fmt::Display for AllowList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(list) = &self.0 else { return f.write_str("any") };
        for (at, registry) in list.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{registry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_replaces_the_default() {
        assert!(allows(&[], "ghcr.io"));
        assert!(!allows(&["quay.io"], "ghcr.io"));
        assert!(allows(&["quay.io", "ghcr.io"], "ghcr.io"));
        assert!(allows(&["", " "], "ghcr.io"), "an empty flag is no flag");
    }

    #[test]
    fn every_registry_may_be_allowed() {
        assert_eq!(AllowList::any().check(&"evil.example".parse().unwrap()), Ok(()));
        assert_eq!(AllowList::any().to_string(), "any");
    }

    #[test]
    fn a_registry_matches_whole_and_in_any_case() {
        assert!(allows(&["Quay.IO"], "quay.io"));
        assert!(!allows(&["quay.io"], "evil.quay.io"));
        assert!(!allows(&["quay.io"], "quay.io.evil.example"));
        assert!(allows(&["127.0.0.1:5000"], "127.0.0.1:5000"));
        assert!(!allows(&["127.0.0.1"], "127.0.0.1:5000"));
    }

    #[test]
    fn every_name_of_docker_hub_is_docker_hub() {
        for listed in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            for asked in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
                assert!(allows(&[listed], asked), "{listed} {asked}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_would_be_allowed() {
        let list = AllowList::new(["quay.io", "ghcr.io"]).unwrap();
        let refusal = list.check(&"evil.example".parse().unwrap()).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "registry evil.example is not allowed; allowed: ghcr.io, quay.io. \
             Use an image from there, or add it to --allowed-registries"
        );
    }

    #[test]
    fn a_list_with_nonsense_is_refused_at_start() {
        assert!(AllowList::new(["https://ghcr.io"]).is_err());
    }

    fn allows(list: &[&str], registry: &str) -> bool {
        let list = AllowList::new(list.iter().copied()).unwrap();
        list.check(&registry.parse().unwrap()).is_ok()
    }
}
