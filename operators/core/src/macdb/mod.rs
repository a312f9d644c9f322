//! The MAC prefix database: which MAC addresses belong to BMCs, and how to access those.
//!
//! The file format is that of metal-operator (`--mac-prefixes-file`), but it is read more
//! leniently: prefixes may be in upper case and with separators, the longest prefix wins, and
//! unknown fields, entries of other types and consoles of unknown types are ignored.
//!
//! ```yaml
//! macPrefixes:
//!   - macPrefix: "AA:BB:CC"
//!     manufacturer: Contoso
//!     protocol: Redfish
//!     protocolScheme: https     # optional
//!     port: 443
//!     type: bmc
//!     defaultCredentials:
//!       - username: admin
//!         password: secret
//!     console:                  # optional
//!       type: SSH
//!       port: 22
//! ```

mod parse;
mod prefix;
#[cfg(test)]
mod tests;

pub use parse::ParseError;
pub use prefix::{MacPrefix, ParsePrefixError};

use metal_api::MacAddr;
use std::{collections::HashMap, fmt};

/// The database. It is empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacDb {
    entries: Vec<Entry>,
    by_prefix: HashMap<MacPrefix, usize>,
    /// The lengths of prefixes, in hexadecimal digits, longest first.
    lengths: Vec<u8>,
    /// What was left out.
    skipped: Vec<Skipped>,
}

/// What the database says about the addresses with one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The prefix.
    pub mac_prefix: MacPrefix,
    /// Manufacturer of the BMC; informative only.
    pub manufacturer: String,
    /// Protocol of the BMC, e.g. `Redfish`.
    pub protocol: String,
    /// `http` or `https`; `None` for the default of the operator.
    pub protocol_scheme: Option<String>,
    /// Port of the protocol.
    pub port: u16,
    /// Credentials to try, in this order. May be empty.
    pub default_credentials: Vec<Credential>,
    /// The serial console.
    pub console: Option<Console>,
}

/// A user name and a password. Debug output leaves the password out.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Credential {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The serial console of a BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// `IPMI`, `SSH` or `SSHLenovo`.
    pub kind: String,
    /// Port of the console.
    pub port: u16,
}

/// What is left out of the database, because it is of a type that we do not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Line of the value.
    line: u64,
    /// The field.
    field: &'static str,
    /// The value, cut.
    text: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, field, text } = self;
        write!(f, "line {line}: {field} `{text}` is not known")
    }
}

impl MacDb {
    /// What was left out of the file: entries that are no BMCs, and consoles.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The entry with the longest prefix of `mac`.
    pub fn lookup(&self, mac: MacAddr) -> Option<&Entry> {
        let longest = |&digits: &u8| self.by_prefix.get(&MacPrefix::of(mac, digits));
        self.lengths.iter().find_map(longest).map(|&index| &self.entries[index])
    }

    /// Every entry, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}
