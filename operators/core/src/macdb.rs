//! The MAC prefix database: which addresses belong to BMCs, and how to talk to those.
//!
//! The file format is the one of metal-operator (`--mac-prefixes-file`). It is read more
//! generously than there: prefixes may be upper case and may have separators, the longest prefix
//! wins, and what we do not know is ignored.
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

/// The database. The default one is empty and knows nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MacDb {
    entries: Vec<Entry>,
    by_prefix: HashMap<MacPrefix, usize>,
    /// Lengths that occur, in hexadecimal digits, longest first.
    lengths: Vec<u8>,
}

/// What the database says about the addresses with one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The addresses it speaks of.
    pub mac_prefix: MacPrefix,
    /// Who made the BMC; for people.
    pub manufacturer: String,
    /// How the BMC is spoken to, e.g. `Redfish`.
    pub protocol: String,
    /// `http` or `https`; the reader's default if it is `None`.
    pub protocol_scheme: Option<String>,
    /// Port of the protocol.
    pub port: u16,
    /// Credentials to try, the first ones first. May be empty.
    pub default_credentials: Vec<Credential>,
    /// Where the serial console is.
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

/// The serial console behind a BMC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// `IPMI`, `SSH` or `SSHLenovo`.
    pub kind: String,
    /// Port of the console.
    pub port: u16,
}

impl MacDb {
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
