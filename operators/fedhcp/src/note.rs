//! Notes and errors about a FeDHCP configuration.

use metal_dhcp::config::ConfigError;
use std::fmt;

/// Something that our configuration does not contain, or expresses differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file that contains it.
    pub file: String,
    /// Its line there; 0 if it is missing.
    pub line: u64,
    /// The plugin that it belongs to.
    pub plugin: String,
    /// Why it is not converted as it is.
    pub why: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, plugin, why, fix } = self;
        write!(f, "{file}: {}{plugin}: {why}; {fix}", at(*line))
    }
}

/// A configuration that cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not YAML, or does not have the format that FeDHCP reads.
    #[error("{file}: invalid for {what}: {problem}")]
    Yaml {
        /// The file.
        file: String,
        /// The part of FeDHCP that reads it.
        what: String,
        /// Where the problem is, and what it is.
        problem: String,
    },
    /// A value is invalid.
    #[error("{file}: {}{field}: {problem}", at(*line))]
    Field {
        /// The file.
        file: String,
        /// The line; 0 if it is missing.
        line: u64,
        /// The field, or the plugin.
        field: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The parts do not make a valid configuration.
    #[error("{file}: inconsistent configuration: {error}")]
    Refused {
        /// The main file.
        file: String,
        /// What is wrong with them.
        error: ConfigError,
    },
}

fn at(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}
