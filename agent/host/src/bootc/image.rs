//! Names of images, to tell whether two of them stand for the same image.

use std::fmt;

const HUB: &str = "docker.io";
/// Other names of Docker Hub.
const ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// A repository, and the digest of the image. A tag beside a digest has no effect, and bootc drops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    repository: String,
    pub(super) digest: Option<String>,
}

impl Image {
    /// Reads `REPOSITORY[:TAG][@DIGEST]`; any other text equals only itself.
    pub(super) fn parse(text: &str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        let path = name.rfind('/').map_or(0, |at| at + 1);
        let end = name[path..].find(':').map_or(name.len(), |at| path + at);
        Self { repository: full(&name[..end]), digest }
    }

    /// The same repository with this digest, unless it has one.
    pub(super) fn with(mut self, digest: Option<&str>) -> Self {
        self.digest = self.digest.or_else(|| digest.map(str::to_owned));
        self
    }

    /// Whether this is the repository of the other.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.repository == other.repository
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// With the registry, in lower case, and with `library` where Docker Hub implies it.
fn full(name: &str) -> String {
    let is_registry = |it: &str| it.contains(['.', ':']) || it == "localhost";
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first.to_ascii_lowercase(), path),
        _ => (HUB.to_owned(), name),
    };
    let registry = if ALIASES.contains(&&*registry) { HUB } else { &registry };
    let is_official = registry == HUB && !path.contains('/');
    if is_official { format!("{registry}/library/{path}") } else { format!("{registry}/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_image_are_the_same() {
        for (one, other) in [
            ("quay.io/a/b:v1@sha256:1", "quay.io/a/b@sha256:1"),
            ("Registry.Example:5000/a/b:v1@sha256:1", "registry.example:5000/a/b@sha256:1"),
            ("docker.io/web@sha256:1", "web@sha256:1"),
            ("index.docker.io/library/web:v1", "docker.io/web"),
            ("localhost/a@sha256:1", "localhost/a:latest@sha256:1"),
        ] {
            assert_eq!(Image::parse(one), Image::parse(other));
        }
        for (one, other) in [
            ("quay.io/a/b@sha256:1", "quay.io/a/b@sha256:2"),
            ("quay.io/a/b@sha256:1", "quay.io/a/c@sha256:1"),
            ("quay.io/a/b@sha256:1", "registry.example/a/b@sha256:1"),
            ("registry.example:5000/a", "registry.example:5001/a"),
        ] {
            assert_ne!(Image::parse(one), Image::parse(other));
        }
        let image = Image::parse("Quay.io/a/b:v1").with(Some("sha256:1"));
        assert_eq!(image.to_string(), "quay.io/a/b@sha256:1");
    }
}
