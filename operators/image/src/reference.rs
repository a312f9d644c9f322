//! Image references, in the grammar of container tools (distribution/reference).
//!
//! Two rules deliberately differ from some tools: a digest takes precedence over a tag, so that a
//! pin holds, and Docker Hub names are expanded first, so that they can be fetched.

use crate::digest::Digest;
use std::{fmt, net::IpAddr, str::FromStr};

const HUB: &str = "docker.io";
const HUB_ENDPOINT: &str = "registry-1.docker.io";
const HUB_ALIASES: [&str; 2] = ["index.docker.io", HUB_ENDPOINT];
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Host and port of a registry, in lower case; all names of Docker Hub are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry(Box<str>);

impl Registry {
    /// Host and port to connect to.
    pub fn endpoint(&self) -> &str {
        if &*self.0 == HUB { HUB_ENDPOINT } else { &self.0 }
    }

    /// As people write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it runs on this host, where plain HTTP is safe.
    pub fn is_local(&self) -> bool {
        let host = host_of(&self.0);
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl FromStr for Registry {
    type Err = MalformedReference;

    fn from_str(text: &str) -> Result<Self, MalformedReference> {
        let lower = text.to_ascii_lowercase();
        if !is_authority(&lower) {
            return Err(MalformedReference::Registry(excerpt(text)));
        }
        let hub = HUB_ALIASES.contains(&lower.as_str());
        Ok(Self(if hub { HUB.into() } else { lower.into() }))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository: `ghcr.io/owner/image`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    registry: Registry,
    repository: Box<str>,
}

impl Name {
    /// The registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The path within the registry.
    pub fn repository(&self) -> &str {
        &self.repository
    }
}

impl FromStr for Name {
    type Err = MalformedReference;

    fn from_str(text: &str) -> Result<Self, MalformedReference> {
        let (registry, path): (Registry, _) = match text.split_once('/') {
            Some((first, rest)) if names_registry(first) => (first.parse()?, rest),
            Some(_) | None => (Registry(HUB.into()), text),
        };
        let is_official = &*registry.0 == HUB && !path.contains('/');
        let repository = if is_official { format!("library/{path}") } else { path.to_owned() };
        // By far the most frequent mistake: tools fold the case of neither half.
        if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(MalformedReference::UpperCase(excerpt(&repository)));
        }
        // The length as printed, so that what we print can be parsed again.
        let length = registry.0.len() + 1 + repository.len();
        if length > MAX_NAME || !repository.split('/').all(is_component) {
            return Err(MalformedReference::Repository(excerpt(&repository)));
        }
        Ok(Self { registry, repository: repository.into() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)
    }
}

/// Selects one version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// A tag, which may move.
    Tag(Box<str>),
    /// A digest, which may not.
    Digest(Digest),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// One version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// The image.
    pub name: Name,
    /// The version: the digest if one was given, else the tag, else `latest`.
    pub version: Version,
}

impl FromStr for Reference {
    type Err = MalformedReference;

    fn from_str(text: &str) -> Result<Self, MalformedReference> {
        if text.is_empty() {
            return Err(MalformedReference::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let malformed = |_| MalformedReference::Digest(excerpt(digest));
                (rest, Some(digest.parse().map_err(malformed)?))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(MalformedReference::Tag(excerpt(tag)));
        }
        let version = match digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(tag.unwrap_or("latest").into()),
        };
        Ok(Self { name: name.parse()?, version })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.name),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.name),
        }
    }
}

/// Why a text is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedReference {
    /// An empty text.
    #[error("image reference is empty: use registry/repository:tag")]
    Empty,
    /// The registry is not valid.
    #[error("registry {0:?} is not a host with an optional port")]
    Registry(String),
    /// The repository is not valid.
    #[error("repository {0:?} is not lower-case path components of letters, digits, . _ and -")]
    Repository(String),
    /// The repository has upper-case letters.
    #[error("repository {0:?} must be lower-case")]
    UpperCase(String),
    /// The tag is not valid.
    #[error("tag {0:?} is not up to 128 letters, digits, . _ and -")]
    Tag(String),
    /// The digest is not valid.
    #[error(
        "digest {0:?} must be sha256: with 64, or sha512: with 128 lower-case hexadecimal digits"
    )]
    Digest(String),
}

/// A colon starts a tag only if no slash follows: `host:5000/image` has no tag.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (text, None),
    }
}

/// Whether the first component is a registry rather than an owner on Docker Hub.
fn names_registry(first: &str) -> bool {
    first.eq_ignore_ascii_case("localhost") || first.contains(['.', ':'])
}

fn is_component(component: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separator = |separator: &str| match separator {
        "" | "." | "_" | "__" => true,
        dashes => dashes.bytes().all(|byte| byte == b'-'),
    };
    let bytes = component.as_bytes();
    let ends = bytes.first().copied().is_some_and(word) && bytes.last().copied().is_some_and(word);
    ends && component.split(|c: char| c.is_ascii() && word(c as u8)).all(separator)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= MAX_TAG
        && bytes.first().copied().is_some_and(word)
        && bytes.iter().all(|&byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_authority(text: &str) -> bool {
    let host = host_of(text);
    let bracketed = text.starts_with('[');
    let rest = if bracketed { text.get(host.len() + 2..) } else { text.get(host.len()..) };
    let port = match rest {
        Some("") => true,
        Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
        None => false,
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let named = if bracketed {
        host.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6())
    } else {
        host.split('.').all(label)
    };
    named && port && text.len() <= MAX_NAME
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The host of an authority, without port or brackets.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// The beginning of an invalid text, long enough to recognize it.
pub(crate) fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_completed_as_container_tools_do() {
        let cases = [
            ("ubuntu", "docker.io/library/ubuntu:latest"),
            ("foo/bar:1", "docker.io/foo/bar:1"),
            ("index.docker.io/foo/bar:1", "docker.io/foo/bar:1"),
            ("localhost/os", "localhost/os:latest"),
            ("localhost:5000/os:1", "localhost:5000/os:1"),
            ("registry:5000/os", "registry:5000/os:latest"),
            ("[::1]:5000/os:1", "[::1]:5000/os:1"),
            ("LOCALHOST/os", "localhost/os:latest"),
            ("GHCR.io/a/b_c/d--e.f:V1.2", "ghcr.io/a/b_c/d--e.f:V1.2"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_of_docker_hub_is_completed_however_the_hub_is_named() {
        for hub in ["", "docker.io/", "index.docker.io/", "registry-1.docker.io/", "Docker.IO/"] {
            for (name, expected) in [("ubuntu", "library/ubuntu"), ("owner/os", "owner/os")] {
                let name: Name = format!("{hub}{name}").parse().unwrap();
                assert_eq!(name.to_string(), format!("docker.io/{expected}"), "{hub}");
            }
        }
        let elsewhere: Name = "ghcr.io/ubuntu".parse().unwrap();
        assert_eq!(elsewhere.repository(), "ubuntu");
    }

    #[test]
    fn a_digest_wins_over_a_tag() {
        let reference: Reference = format!("ghcr.io/a/b:1@{DIGEST}").parse().unwrap();
        assert_eq!(reference.version, Version::Digest(DIGEST.parse().unwrap()));
        assert_eq!(reference.to_string(), format!("ghcr.io/a/b@{DIGEST}"));
    }

    #[test]
    fn docker_hub_is_reached_where_it_lives() {
        let name: Name = "ubuntu".parse().unwrap();
        assert_eq!(name.registry().endpoint(), "registry-1.docker.io");
        assert_eq!(name.repository(), "library/ubuntu");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("ghcr.io/{}", "a".repeat(256));
        let cases = [
            ("", MalformedReference::Empty),
            ("ghcr.io/Owner/os:1", MalformedReference::UpperCase("Owner/os".into())),
            // Not a registry: in lower case it would be printed as an owner on Docker Hub.
            ("Owner/os", MalformedReference::UpperCase("Owner/os".into())),
            ("ghcr.io/a//b", MalformedReference::Repository("a//b".into())),
            ("ghcr.io/../b", MalformedReference::Repository("../b".into())),
            ("ghcr.io/a_/b", MalformedReference::Repository("a_/b".into())),
            ("ghcr.io/a/b\n:1", MalformedReference::Repository("a/b\n".into())),
            ("ghcr.io/a/", MalformedReference::Repository("a/".into())),
            ("ghcr.io/a:-1", MalformedReference::Tag("-1".into())),
            ("ghcr.io/a:", MalformedReference::Tag(String::new())),
            ("ghcr.io/a@sha256:12", MalformedReference::Digest("sha256:12".into())),
            ("bad_host.io/a", MalformedReference::Registry("bad_host.io".into())),
            ("host:0/a", MalformedReference::Registry("host:0".into())),
            ("host:70000/a", MalformedReference::Registry("host:70000".into())),
            ("[::1/a", MalformedReference::Registry("[::1".into())),
            ("https://ghcr.io/a", MalformedReference::Registry("https:".into())),
            (&long, MalformedReference::Repository("a".repeat(80))),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Reference>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same_image() {
        let of = |length: usize| "a".repeat(length);
        for text in [of(233), of(237), format!("o/{}", of(243)), format!("localhost/{}", of(245))] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string().parse(), Ok(reference), "{text}");
        }
        for text in [of(238), format!("o/{}", of(244)), format!("localhost/{}", of(246))] {
            assert!(
                matches!(text.parse::<Reference>(), Err(MalformedReference::Repository(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn only_loopback_is_local() {
        let local = |text: &str| text.parse::<Registry>().unwrap().is_local();
        assert!(
            ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:1"].into_iter().all(local)
        );
        assert!(!["localhost.example.com", "10.0.0.1:5000", "ghcr.io"].into_iter().any(local));
    }
}
