//! What is wanted of a registry, and who opens it.

use crate::reference::Reference;
use std::fmt;

/// An image for an architecture, as somebody gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The image.
    pub image: Reference,
    /// The architecture.
    pub architecture: String,
    /// Who opens it.
    pub opener: Opener,
}

/// What the logins are from with which an image is fetched: never the logins themselves, because it is
/// kept on disk. The default is nothing, for images that anybody may have.
///
/// An image that one opener has had fetched is no other's before the registry would give it to that as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opener {
    /// Which ones, without white space.
    pub name: String,
    /// What they say at the moment, without white space: changes with each of them.
    pub version: String,
}

/// What it is remembered by; the version of its opener is part of what is remembered.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, architecture, opener } = self;
        write!(f, "{image} {architecture}")?;
        if opener.name.is_empty() { Ok(()) } else { write!(f, " {}", opener.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_anybody_is_remembered_as_it_always_was() {
        let mut wanted = Wanted {
            image: "ghcr.io/a/b:1".parse().unwrap(),
            architecture: "amd64".to_owned(),
            opener: Opener::default(),
        };
        assert_eq!(wanted.to_string(), "ghcr.io/a/b:1 amd64");
        wanted.opener = Opener { name: "one,two".to_owned(), version: "7".to_owned() };
        assert_eq!(wanted.to_string(), "ghcr.io/a/b:1 amd64 one,two");
    }
}
