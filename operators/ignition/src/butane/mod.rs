//! Translates Butane to Ignition, for the subset that boot configurations use.
//!
//! Butane is the YAML that people write; Ignition is the JSON that a machine reads at its first
//! boot. Supported are units, users, groups, files, directories, links, and further configurations
//! to fetch; not disks, file systems or sugar. Anything unsupported is an error that names the
//! field: a machine with half of its configuration is worse than one that is refused.
//!
//! Fields and versions are those of the Butane and Ignition specifications
//! (coreos.github.io/butane/specs, coreos.github.io/ignition/specs).

mod check;
mod node;
mod schema;
mod since;
#[cfg(test)]
mod tests;
mod translate;

use metal_base::cut;
use metal_text::yaml::{self, LeadingZero};
use node::{Kind, Node};
use serde_json::{Value, json};
use std::fmt;
use translate::Translation;

/// The value of the entry `format` of a Secret whose content is translated.
pub const FORMAT: &str = "fcos";
/// Other values of it that are known: the content is meant to be passed on.
const PASSED_ON: [&str; 3] = ["", "ignition", "raw"];

/// Largest text; Kubernetes limits a Secret to this anyway.
const MAX_TEXT: usize = 1 << 20;
/// Longest name that is shown, in bytes.
const NAME: usize = 80;

/// Why content that is passed on as it is was most likely meant to be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untranslated {
    /// The format is unknown.
    #[error(
        "the entry format is unknown, so the content is passed on as it is: Butane of any variant needs \
         the format {FORMAT}"
    )]
    Format,
    /// It is Butane.
    #[error(
        "the content seems to be Butane, and is passed on as it is, because the entry format is not \
         {FORMAT}"
    )]
    Content,
}

/// Whether content of this format, which is neither translated nor Ignition, was most likely meant to
/// be translated: a machine cannot read it, and asks again forever.
pub fn untranslated(format: &str, content: &str) -> Option<Untranslated> {
    let format = format.trim();
    let is_other = ["#cloud-config", "#!"].iter().any(|start| content.starts_with(start));
    if format == FORMAT || is_other {
        return None;
    }
    if !PASSED_ON.contains(&format) {
        return Some(Untranslated::Format);
    }
    let is_butane = content.lines().any(|line| line.starts_with("variant:"));
    (is_butane && format != "raw").then_some(Untranslated::Content)
}

/// Why a text cannot be translated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML.
    #[error("not valid YAML: {0}")]
    Yaml(String),
    /// It is larger than any Secret can be.
    #[error("longer than {MAX_TEXT} bytes")]
    TooLong,
    /// A variant or version that cannot be translated.
    #[error(
        "variant {variant:?} version {version:?} is not supported: \
         use fcos 1.0.0 to 1.7.0, flatcar or r4e 1.0.0 or 1.1.0, or fiot 1.0.0"
    )]
    Version {
        /// `variant`.
        variant: String,
        /// `version`.
        version: String,
    },
    /// A field that is unknown.
    #[error("{0}: not supported")]
    Unsupported(Path),
    /// A field that is known but not supported.
    #[error("{path}: not supported, {instead}")]
    Refused {
        /// Its path.
        path: Path,
        /// What to do.
        instead: &'static str,
    },
    /// A field that only later versions have.
    #[error("{path}: requires version {needs}")]
    TooNew {
        /// Its path.
        path: Path,
        /// The version that has it.
        needs: &'static str,
    },
    /// A field with a value of the wrong type.
    #[error("{path}: must be {expected}")]
    Wrong {
        /// Its path.
        path: Path,
        /// What it should be.
        expected: &'static str,
    },
    /// A required field is missing.
    #[error("{0}: missing")]
    Missing(Path),
    /// Two entries have the same name, so that the machine would refuse both.
    #[error("{path}: {name:?} is duplicated")]
    Twice {
        /// The path of the second one.
        path: Path,
        /// The name.
        name: String,
    },
    /// The translation is not accepted by a machine; the path is that in the Ignition.
    #[error("the resulting Ignition is invalid: {0}")]
    Output(#[from] crate::validation::Error),
}

impl Error {
    fn twice(path: Path, name: &str) -> Self {
        Self::Twice { path, name: cut(name, NAME).into_owned() }
    }
}

/// The path of a field, in Butane's format: `$.storage.files.0.mode: line 12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    fields: String,
    /// Of the field or, if that is missing, of the object that should have it.
    line: u64,
}

impl Path {
    fn root(line: u64) -> Self {
        Self { fields: "$".to_owned(), line }
    }

    fn field(&self, name: &str) -> Self {
        // The name comes from an untrusted text.
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

/// A version of Butane, and the Ignition version that it translates to.
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
            ("fcos", "1.4.0") | ("flatcar" | "r4e", "1.0.0") => 3,
            ("fcos", "1.5.0") | ("flatcar" | "r4e", "1.1.0") | ("fiot", "1.0.0") => 4,
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
/// If it is not Butane of a known version, or uses anything that is not supported here.
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
    let walk = Translation { version: known, source: text };
    let mut ignition = translate::document(&document, &root, walk)?;
    let header = ignition.entry("ignition").or_insert_with(|| json!({}));
    if let Value::Object(header) = header {
        header.insert("version".to_owned(), json!(format!("3.{}.0", known.ignition)));
    }
    let ignition = Value::Object(ignition).to_string();
    crate::validation::check_text(&ignition)?;
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
