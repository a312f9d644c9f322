//! A configuration together with the schema and the templates of its image, as it is encrypted for a host.

use crate::{
    files::{Package, Rendered, Unpackable},
    lines,
    problem::Problem,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Characters of base64 that a HostRelease has room for.
const CIPHERTEXT: usize = 200_000;
/// What encryption adds to the text, in bytes: a point of P-256, and a tag.
const AROUND: usize = 65 + 16;
/// The largest plain text that is encrypted, in bytes.
pub const LARGEST: usize = CIPHERTEXT / 4 * 3 - AROUND;
/// Prefix of a bundle. Any other text is a configuration without schema.
const HEAD: &[u8] = b"bloomery-configuration-v1\n";

/// A configuration, and the schema and the templates of its image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The configuration.
    pub configuration: Value,
    /// The schema that it has to match, and the templates that are rendered with it.
    pub package: Package,
}

/// The content of a bundle for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The configuration, as JSON.
    pub configuration: String,
    /// Rendered files by their relative paths.
    pub files: BTreeMap<String, Rendered>,
}

impl Bundle {
    /// The text to encrypt; `None` if it is larger than [`LARGEST`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut text = HEAD.to_vec();
        serde_json::to_writer(&mut text, self).ok()?;
        Some(text).filter(|text| text.len() <= LARGEST)
    }

    /// Parses the decrypted text; `None` if it is not a bundle.
    ///
    /// # Errors
    ///
    /// If it begins like a bundle, but is invalid.
    pub fn decode(plain: &[u8]) -> Result<Option<Self>, Problem> {
        let Some(text) = plain.strip_prefix(HEAD) else { return Ok(None) };
        let refuse = |what: &str| Problem::new("", what);
        if plain.len() > LARGEST {
            return Err(refuse("larger than a HostRelease has room for"));
        }
        // An error of serde_json may quote a value.
        serde_json::from_slice(text)
            .map(Some)
            .map_err(|_| refuse("not a configuration and a schema"))
    }

    /// Checks the configuration, and renders the templates with it.
    ///
    /// # Errors
    ///
    /// If it does not fit the schema; lines are those of the configuration as
    /// [`Unpacked::configuration`] has it.
    pub fn unpack(&self) -> Result<Unpacked, Unpackable> {
        let problems = self.package.check(&self.configuration)?;
        let configuration = format!("{:#}\n", self.configuration);
        if !problems.is_empty() {
            let line = |it: Problem| {
                let line = lines::of(&configuration, &it.pointer);
                it.at(line)
            };
            return Err(Unpackable::Configuration(problems.into_iter().map(line).collect()));
        }
        let files = self.package.render(&self.configuration)?;
        Ok(Unpacked { configuration, files })
    }
}
