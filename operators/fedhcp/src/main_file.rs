//! The main file: two chains of plugins.

use super::note::Error;
use metal_text::{
    located::Located,
    yaml::{self, LeadingZero, or_default},
};
use serde::Deserialize;
use std::{collections::BTreeMap, net::IpAddr};

/// A file, under the name by which the main file refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The name.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The main file of FeDHCP.
#[derive(Clone, Debug)]
pub struct Main {
    name: String,
    v4: Option<Chain>,
    v6: Option<Chain>,
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::V4 => "server4",
            Self::V6 => "server6",
        }
    }
}

#[derive(Clone, Debug)]
struct Chain {
    listen: Vec<Listen>,
    plugins: Vec<Plugin>,
}

/// An address to listen on: `address%interface:port`, each part of which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// `None` means every address.
    pub(super) address: Option<IpAddr>,
    pub(super) interface: Option<String>,
}

/// A plugin, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) args: Vec<String>,
    pub(super) line: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMain {
    server4: Option<RawChain>,
    server6: Option<RawChain>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    listen: Option<RawListen>,
    #[serde(default, deserialize_with = "or_default")]
    plugins: Vec<Located<BTreeMap<String, Option<String>>>>,
}

/// One, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawListen {
    One(String),
    Several(Vec<String>),
}

impl Main {
    /// Reads the main file.
    ///
    /// # Errors
    ///
    /// If it does not have the format that FeDHCP reads.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let raw: RawMain = yaml(name, text, "FeDHCP")?;
        let field = |field: &str, problem: &str| Error::Field {
            file: name.to_owned(),
            line: 0,
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        if raw.server4.is_none() && raw.server6.is_none() {
            let problem = "neither is present; specify the main configuration file of FeDHCP, not \
                           that of a plugin";
            return Err(field("server4, server6", problem));
        }
        let chain = |raw: Option<RawChain>| raw.map(|raw| Chain::new(name, raw)).transpose();
        Ok(Self { name: name.to_owned(), v4: chain(raw.server4)?, v6: chain(raw.server6)? })
    }

    /// The names of the files that it refers to.
    pub fn files(&self) -> Vec<&str> {
        let plugins = self.chains().flat_map(|(_, plugins)| plugins);
        let mut files: Vec<_> = plugins.filter_map(Plugin::file).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = (Family, &[Plugin])> {
        let chains = [(Family::V4, &self.v4), (Family::V6, &self.v6)];
        let present =
            chains.into_iter().filter_map(|(family, chain)| Some((family, chain.as_ref()?)));
        present.map(|(family, chain)| (family, chain.plugins.as_slice()))
    }

    pub(super) fn listen(&self, family: Family) -> &[Listen] {
        let chain = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        chain.as_ref().map_or(&[], |chain| &chain.listen)
    }
}

impl Chain {
    fn new(file: &str, raw: RawChain) -> Result<Self, Error> {
        let texts = match raw.listen {
            None => Vec::new(),
            Some(RawListen::One(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(RawListen::Several(texts)) => texts,
        };
        let listen = texts.iter().map(|text| {
            Listen::parse(text).ok_or_else(|| Error::Field {
                file: file.to_owned(),
                line: 0,
                field: "listen".to_owned(),
                problem: format!("`{text}` is not a listen address; use, for example, `[::]:547`"),
            })
        });
        let listen = listen.collect::<Result<_, _>>()?;
        let plugins =
            raw.plugins.into_iter().map(|raw| Plugin::new(file, raw)).collect::<Result<_, _>>()?;
        Ok(Self { listen, plugins })
    }
}

impl Listen {
    /// Parses like coredhcp: the port comes last, and the interface follows the address.
    fn parse(text: &str) -> Option<Self> {
        let host = match text.rsplit_once(':') {
            Some((host, port))
                if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') =>
            {
                host
            }
            Some(_) | None => text,
        };
        let host = host.strip_prefix('[').unwrap_or(host);
        let host = host.strip_suffix(']').unwrap_or(host);
        let (address, interface) = match host.split_once('%') {
            Some((address, interface)) => (address, Some(interface)),
            None => (host, None),
        };
        let address = match address.strip_suffix(']').unwrap_or(address) {
            "" => None,
            address => Some(address.parse().ok()?),
        };
        let interface = interface.filter(|it| !it.is_empty()).map(str::to_owned);
        Some(Self { address, interface })
    }
}

impl Plugin {
    fn new(file: &str, raw: Located<BTreeMap<String, Option<String>>>) -> Result<Self, Error> {
        let line = raw.line;
        let mut all = raw.value.into_iter();
        match (all.next(), all.next()) {
            (Some((name, args)), None) => {
                let args = args.unwrap_or_default();
                Ok(Self { name, args: args.split_whitespace().map(str::to_owned).collect(), line })
            }
            _ => Err(Error::Field {
                file: file.to_owned(),
                line,
                field: "plugins".to_owned(),
                problem: "use one plugin per list item, for example `- dns: 10.0.0.1`".to_owned(),
            }),
        }
    }

    /// The plugin's own file, if it has one.
    pub(super) fn file(&self) -> Option<&str> {
        const WITH_FILE: &[&str] = &[
            "bluefield",
            "file",
            "httpboot",
            "ipam",
            "leases",
            "macfilter",
            "metal",
            "ntp",
            "onie",
            "onmetal",
            "oob",
            "pxeboot",
            "ztp",
        ];
        let first = self.args.first()?;
        let is_inline = first.contains("://") || first.parse::<IpAddr>().is_ok();
        let is_file = !is_inline && !self.is_early();
        (WITH_FILE.contains(&self.name.as_str()) && is_file).then_some(first)
    }

    /// Whether it has arguments where current versions have a file: early versions of ipam, onmetal
    /// and oob had a namespace and what selects subnets here.
    pub(super) fn is_early(&self) -> bool {
        self.name != "file" && self.args.len() > 1
    }
}

/// Reads a file of FeDHCP, or a plugin of it.
pub(super) fn yaml<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
    what: &str,
) -> Result<T, Error> {
    yaml::read(text, LeadingZero::Decimal).map_err(|error| Error::Yaml {
        file: file.to_owned(),
        what: what.to_owned(),
        problem: format!("{error}; correct it, or remove what FeDHCP ignores"),
    })
}
