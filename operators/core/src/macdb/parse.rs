//! Reads the file of the database. Every fault names its line.

use super::{Console, Credential, Entry, MacDb, MacPrefix, ParsePrefixError, Skipped};
use metal_text::yaml::{self, LeadingZero, or_default};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::{HashMap, hash_map};

/// Longest value that is shown, in characters.
const MAX_SHOWN: usize = 64;

/// The file is not a MAC prefix database. Never shows a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is not YAML, or does not have this structure.
    #[error("not a MAC prefix database: {0}")]
    Yaml(String),
    /// A prefix cannot be read.
    #[error("line {line}: macPrefix `{text}`")]
    Prefix {
        /// Line of the value.
        line: u64,
        /// The value.
        text: String,
        /// What is wrong with it.
        source: ParsePrefixError,
    },
    /// Two entries have the same prefix.
    #[error(
        "line {line}: macPrefix `{prefix}` is already used in line {first}; remove one of the two \
         entries"
    )]
    Duplicate {
        /// The prefix, in its shortest form.
        prefix: MacPrefix,
        /// Line of the first entry.
        first: u64,
        /// Line of the second entry.
        line: u64,
    },
    /// The value of a field cannot be used.
    #[error("line {line}: invalid {field} `{text}`; use {fix}")]
    Value {
        /// Line of the value.
        line: u64,
        /// The field.
        field: &'static str,
        /// The value.
        text: String,
        /// What to write instead.
        fix: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    #[serde(deserialize_with = "or_default")]
    mac_prefixes: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntry {
    mac_prefix: Spanned<String>,
    #[serde(default, deserialize_with = "or_default")]
    manufacturer: String,
    protocol: Spanned<String>,
    protocol_scheme: Option<Spanned<String>>,
    port: Spanned<i64>,
    r#type: Spanned<String>,
    #[serde(default, deserialize_with = "or_default")]
    default_credentials: Vec<Credential>,
    console: Option<RawConsole>,
}

#[derive(Deserialize)]
struct RawConsole {
    r#type: Spanned<String>,
    port: Spanned<i64>,
}

impl Skipped {
    fn of(value: &Spanned<String>, field: &'static str) -> Self {
        let text = value.value.chars().take(MAX_SHOWN).collect();
        Self { line: line_of(value), field, text }
    }
}

impl MacDb {
    /// Reads the text of the file.
    ///
    /// # Errors
    ///
    /// Each names the line, the field and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        // Snippets of the file would put passwords into the log.
        let file: RawFile = yaml::read(text, LeadingZero::Decimal)
            .map_err(|error| ParseError::Yaml(error.to_string()))?;
        let mut db = Self::default();
        let mut lines = HashMap::new();
        for raw in file.mac_prefixes {
            let line = line_of(&raw.mac_prefix);
            if let Some(skipped) = raw.skipped() {
                db.skipped.push(skipped);
                continue;
            }
            let entry = raw.validate(&mut db.skipped)?;
            match lines.entry(entry.mac_prefix) {
                hash_map::Entry::Vacant(free) => free.insert(line),
                hash_map::Entry::Occupied(first) => {
                    let (&prefix, &first) = (first.key(), first.get());
                    return Err(ParseError::Duplicate { prefix, first, line });
                }
            };
            db.by_prefix.insert(entry.mac_prefix, db.entries.len());
            db.lengths.push(entry.mac_prefix.digits());
            db.entries.push(entry);
        }
        db.lengths.sort_unstable_by(|a, b| b.cmp(a));
        db.lengths.dedup();
        Ok(db)
    }
}

impl RawEntry {
    /// An entry of another type, such as a switch, is for somebody else.
    fn skipped(&self) -> Option<Skipped> {
        let is_known = self.r#type.value.trim().eq_ignore_ascii_case("bmc");
        (!is_known).then(|| Skipped::of(&self.r#type, "type"))
    }

    fn validate(self, skipped: &mut Vec<Skipped>) -> Result<Entry, ParseError> {
        let mac_prefix = self.mac_prefix.value.parse().map_err(|source| ParseError::Prefix {
            line: line_of(&self.mac_prefix),
            text: self.mac_prefix.value.clone(),
            source,
        })?;
        if self.protocol.value.is_empty() {
            return Err(unknown(&self.protocol, "protocol", "`Redfish`"));
        }
        let scheme = self.protocol_scheme.filter(|scheme| !scheme.value.is_empty());
        let fix = "`http` or `https`, or remove it";
        let scheme = scheme
            .map(|scheme| one_of(&scheme, "protocolScheme", &["http", "https"], fix))
            .transpose()?;
        Ok(Entry {
            mac_prefix,
            manufacturer: self.manufacturer,
            protocol: self.protocol.value,
            protocol_scheme: scheme.map(str::to_owned),
            port: port(&self.port, "port")?,
            default_credentials: self.default_credentials,
            console: match self.console {
                Some(console) => console.validate(skipped)?,
                None => None,
            },
        })
    }
}

impl RawConsole {
    /// `None` for one of a type that we do not know.
    fn validate(self, skipped: &mut Vec<Skipped>) -> Result<Option<Console>, ParseError> {
        let port = port(&self.port, "console.port")?;
        let kind = meant(&self.r#type, &["IPMI", "SSH", "SSHLenovo"]);
        if kind.is_none() {
            skipped.push(Skipped::of(&self.r#type, "console.type"));
        }
        Ok(kind.map(|kind| Console { kind: kind.to_owned(), port }))
    }
}

/// The value in `known` that is meant: metal-operator's documentation writes them in any case.
fn one_of(
    value: &Spanned<String>,
    field: &'static str,
    known: &[&'static str],
    fix: &'static str,
) -> Result<&'static str, ParseError> {
    meant(value, known).ok_or_else(|| unknown(value, field, fix))
}

fn meant(value: &Spanned<String>, known: &[&'static str]) -> Option<&'static str> {
    known.iter().find(|known| known.eq_ignore_ascii_case(value.value.trim())).copied()
}

fn port(value: &Spanned<i64>, field: &'static str) -> Result<u16, ParseError> {
    let port = u16::try_from(value.value).ok().filter(|&port| port != 0);
    port.ok_or_else(|| unknown(value, field, "a port from 1 to 65535"))
}

fn unknown<T: ToString>(value: &Spanned<T>, field: &'static str, fix: &'static str) -> ParseError {
    ParseError::Value { line: line_of(value), field, text: value.value.to_string(), fix }
}

fn line_of<T>(value: &Spanned<T>) -> u64 {
    value.referenced.line()
}
