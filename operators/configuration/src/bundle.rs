//! A configuration with what the image says about it, as it is encrypted to a host.

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
/// What is in front of and behind the encrypted text, in bytes: a point of P-256, and a tag.
const AROUND: usize = 65 + 16;
/// The largest plain text that is encrypted, in bytes.
pub const LARGEST: usize = CIPHERTEXT / 4 * 3 - AROUND;
/// What a bundle begins with. Another text is a configuration of which nothing is known.
const HEAD: &[u8] = b"bloomery-configuration-v1\n";

/// A configuration, and the schema and the templates of its image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// The configuration.
    pub configuration: Value,
    /// What it has to fit, and what is rendered with it.
    pub package: Package,
}

/// What a host is given of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// The configuration, as JSON.
    pub configuration: String,
    /// Rendered files by their relative paths.
    pub files: BTreeMap<String, Rendered>,
}

impl Bundle {
    /// As it is encrypted; `None` if it is larger than [`LARGEST`].
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut text = HEAD.to_vec();
        serde_json::to_writer(&mut text, self).ok()?;
        Some(text).filter(|text| text.len() <= LARGEST)
    }

    /// Reads what was decrypted; `None` if it is no bundle.
    ///
    /// # Errors
    ///
    /// If it begins as a bundle and is none.
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
