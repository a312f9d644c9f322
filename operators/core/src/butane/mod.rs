//! Butane to Ignition, for the subset that boot configurations use.
//!
//! Butane is the YAML that people write, Ignition the JSON that a machine reads at its first
//! boot. Here are units, users, groups, files, directories, links, and further configurations to
//! fetch; not disks, file systems or sugar. What is not here is an error that names the field:
//! a machine without half of its configuration is worse than one that is refused.
//!
//! Fields and versions are those of the Butane and Ignition specifications
//! (coreos.github.io/butane/specs, coreos.github.io/ignition/specs).

mod check;
mod node;
mod schema;
#[cfg(test)]
mod tests;
mod translate;

use crate::{
    conditions::cut,
    yaml::{self, LeadingZero},
};
use node::{Kind, Node};
use serde_json::{Value, json};
use std::fmt;
use translate::Walk;

/// Largest text; Kubernetes keeps a Secret to this anyway.
const MAX_TEXT: usize = 1 << 20;
/// Bytes that are shown of a name.
const NAME: usize = 80;

/// Why a text is not translated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// More than any Secret holds.
    #[error("longer than {MAX_TEXT} bytes")]
    TooLong,
    /// A variant or version from which there is no way to Ignition.
    #[error(
        "variant {variant:?} version {version:?} is not supported: \
         use fcos 1.0.0 to 1.7.0, or flatcar 1.0.0 or 1.1.0"
    )]
    Version {
        /// `variant`.
        variant: String,
        /// `version`.
        version: String,
    },
    /// A field that the translation does not know.
    #[error("{0}: not supported")]
    Unsupported(Path),
    /// A field that the translation knows, and cannot serve.
    #[error("{path}: not supported, {instead}")]
    Refused {
        /// Where.
        path: Path,
        /// What to do.
        instead: &'static str,
    },
    /// A field that a later version has.
    #[error("{path}: needs version {needs}")]
    TooNew {
        /// Where.
        path: Path,
        /// The version that has it.
        needs: &'static str,
    },
    /// Not the type that the field has.
    #[error("{path}: must be {expected}")]
    Wrong {
        /// Where.
        path: Path,
        /// What it should be.
        expected: &'static str,
    },
    /// A field that has to be there.
    #[error("{0}: missing")]
    Missing(Path),
    /// Two entries of one name, of which the machine would accept neither.
    #[error("{path}: {name:?} is there twice")]
    Twice {
        /// Where the second is.
        path: Path,
        /// The name.
        name: String,
    },
    /// Translated, and still nothing that a machine takes: the place is that in the Ignition.
    #[error("becomes Ignition that a machine refuses: {0}")]
    Output(#[from] crate::ignition::Error),
}

impl Error {
    fn twice(path: Path, name: &str) -> Self {
        Self::Twice { path, name: cut(name, NAME).into_owned() }
    }
}

/// Where a field is, as Butane tells it: `$.storage.files.0.mode: line 12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    fields: String,
    /// Of the field; of what it is missing in, if it is.
    line: u64,
}

impl Path {
    fn root(line: u64) -> Self {
        Self { fields: "$".to_owned(), line }
    }

    fn field(&self, name: &str) -> Self {
        // The name is of somebody else's making.
        let name = cut(name, NAME).replace(|c: char| c.is_control(), " ");
        let fields = format!("{}.{name}", self.fields);
        Self { fields, ..self.clone() }
    }

    fn item(&self, at: usize) -> Self {
        Self { fields: format!("{}.{at}", self.fields), ..self.clone() }
    }

    fn on(self, line: u64) -> Self {
        Self { line, ..self }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}", self.fields, self.line)
    }
}

/// Which Butane, and thereby which Ignition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    /// Minor version of Ignition 3.
    ignition: u8,
}

impl Version {
    fn of(variant: &str, version: &str) -> Option<Self> {
        let ignition = match (variant, version) {
            ("fcos", "1.0.0") => 0,
            ("fcos", "1.1.0") => 1,
            ("fcos", "1.2.0" | "1.3.0") => 2,
            ("fcos", "1.4.0") | ("flatcar", "1.0.0") => 3,
            ("fcos", "1.5.0") | ("flatcar", "1.1.0") => 4,
            ("fcos", "1.6.0") => 5,
            ("fcos", "1.7.0") => 6,
            (_, _) => return None,
        };
        Some(Self { ignition })
    }
}

/// The Ignition configuration that `text` describes, as JSON.
///
/// # Errors
///
/// If it is not Butane of a known version, or uses anything that is not translated here.
pub fn translate(text: &str) -> Result<String, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong);
    }
    let text = text.trim_start_matches('\u{feff}');
    let mut document = parse(text)?;
    let root = Path::root(document.line());
    let mut word = |field: &str| {
        let Kind::Map(fields) = &mut document.kind else {
            return Err(Error::Wrong { path: root.clone(), expected: "a mapping" });
        };
        match fields.remove(field) {
            Some(Node { kind: Kind::Text(word), .. }) => Ok(word),
            Some(node) => {
                let path = root.field(field).on(node.line());
                Err(Error::Wrong { path, expected: "text; put it in quotes" })
            }
            None => Err(Error::Missing(root.field(field))),
        }
    };
    let variant = word("variant")?;
    let version = word("version")?;
    let Some(known) = Version::of(&variant, &version) else {
        let [variant, version] = [variant, version].map(|word| cut(&word, NAME).into_owned());
        return Err(Error::Version { variant, version });
    };
    let walk = Walk { version: known, source: text };
    let mut ignition = translate::document(&document, &root, walk)?;
    let header = ignition.entry("ignition").or_insert_with(|| json!({}));
    if let Value::Object(header) = header {
        header.insert("version".to_owned(), json!(format!("3.{}.0", known.ignition)));
    }
    let ignition = Value::Object(ignition).to_string();
    crate::ignition::check_text(&ignition)?;
    Ok(ignition)
}

/// The document, which is a mapping.
fn parse(text: &str) -> Result<Node, Error> {
    // `mode: 0644` is octal to Butane.
    let document = yaml::read::<Option<Node>>(text, LeadingZero::Octal);
    let document = document.map_err(|error| Error::Yaml(error.to_string()))?;
    match document {
        Some(document) if matches!(document.kind, Kind::Map(_)) => Ok(document),
        other => {
            let path = Path::root(other.map_or(1, |node| node.line()));
            Err(Error::Wrong { path, expected: "a mapping" })
        }
    }
}
