//! Flags: the peer's, and ours.

use clap::{Parser, ValueEnum};
use jiff::SignedDuration;
use metal_core::{bmc::Verification, redfish::Scheme, server::Settings};
use metal_runtime::args::{self, Accepted, BindAddress, RuntimeArgs};
use std::{path::PathBuf, time::Duration};

/// Finds servers through their BMCs, discovers what they are, and hands them out.
#[derive(Clone, Debug, Parser)]
#[command(name = "metal-operator", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the peer")]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Image of the agent, for the discovery's ignition
    #[arg(long, value_name = "IMAGE")]
    pub probe_image: String,
    /// Image that a server boots for its discovery
    #[arg(long, value_name = "IMAGE")]
    pub probe_os_image: String,
    /// Namespace of the discovery's boot configurations and secrets
    #[arg(long, default_value = "default", value_name = "NAMESPACE")]
    pub manager_namespace: String,
    /// MAC prefix database: which MAC addresses are BMCs, and their first credentials
    #[arg(long, value_name = "FILE")]
    pub mac_prefixes_file: Option<PathBuf>,
    /// Template of the discovery's ignition [default: /etc/metal-operator/ignition-template.yaml
    /// if there is one, else a built-in one]
    #[arg(long, value_name = "FILE")]
    pub discovery_ignition_path: Option<PathBuf>,
    /// How long a server may fetch what it boots, from when its boot begins; the boot-operator gives
    /// nothing after that, nor after the report
    #[arg(long, default_value = "30m", value_parser = args::duration)]
    pub boot_window: Duration,
    /// How long a server may take from power-on to its report
    #[arg(long, default_value = "30m", value_parser = args::duration)]
    pub discovery_timeout: Duration,
    /// After how many discoveries in a row without a report a server ends in Error
    #[arg(long, default_value_t = 5)]
    pub discovery_attempts: u32,
    /// How soon to look at a server again while its power changes
    #[arg(long, default_value = "5s", value_parser = args::duration)]
    pub power_polling_interval: Duration,
    /// How long a host may take to shut down before its power is cut, where it may be cut
    #[arg(long, default_value = "2m", value_parser = args::duration)]
    pub power_polling_timeout: Duration,
    /// How soon to look at a server again while nothing changes
    #[arg(long, default_value = "2m", value_parser = args::duration)]
    pub server_resync_interval: Duration,
    /// Switch off servers that run when they are first seen, to discover them
    #[arg(long)]
    pub enforce_first_boot: bool,
    /// Cut the power of hosts that ignore a shutdown, unless a claim wants them on
    #[arg(long)]
    pub enforce_power_off: bool,
    /// Where agents find the registry, from where they boot
    #[arg(long, value_name = "URL")]
    pub registry_url: Option<String>,
    /// Address of the registry, where --registry-url is not given
    #[arg(long, env = "REGISTRY_ADDRESS", hide = true)]
    pub registry_address: Option<String>,
    /// Scheme of the registry, where --registry-url is not given
    #[arg(long, default_value = "http")]
    pub registry_protocol: String,
    /// Port of the registry
    #[arg(long, default_value_t = 10000)]
    pub registry_port: u16,
    /// Where the registry listens [default: every address, --registry-port]
    #[arg(long, value_name = "ADDRESS")]
    pub registry_bind_address: Option<BindAddress>,
    /// Where BMCs reach the boot-operator, as http://host:port, for servers that boot by virtual media
    /// [default: no server does]
    #[arg(long, value_name = "URL")]
    pub virtual_media_url: Option<String>,
    /// Whether servers that were found by DHCP, or by an Endpoint, can be claimed at once, or are
    /// held until a person admits them by removing the taint bloomery.dev/not-admitted
    #[arg(long, value_enum, default_value_t = NewServers::Claimable)]
    pub new_servers: NewServers,
    /// The key in the Secret metal-operator-registration-key as a file, for a start while the API
    /// server is silent
    #[arg(long, value_name = "FILE")]
    pub registry_key_file: Option<PathBuf>,
    /// Take reports without a token: whoever reaches the registry can then fake any inventory
    #[arg(long)]
    pub registry_allow_tokenless: bool,
    /// Scheme of BMCs that name none [default: https; see --insecure]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Deprecated: the scheme of BMCs that name none is http if true, https if false
    #[arg(long)]
    pub insecure: Option<bool>,
    /// Do not verify the certificates of BMCs
    #[arg(long)]
    pub skip_cert_validation: bool,
    /// Authorities that sign the certificates of BMCs, as PEM
    #[arg(long, value_name = "FILE")]
    pub bmc_ca_file: Option<PathBuf>,
    /// How many servers are worked on at a time
    #[arg(long, default_value_t = 64)]
    pub server_max_concurrent_reconciles: usize,
    /// How many claims are worked on at a time
    #[arg(long, default_value_t = 16)]
    pub server_claim_max_concurrent_reconciles: usize,
}

/// What can be done with a server that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NewServers {
    /// It can be claimed as soon as it is available.
    Claimable,
    /// It cannot be claimed before a person admits it.
    Held,
}

/// Scheme of a BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

/// The peer's flags that have no effect here.
pub const ACCEPTED: &[Accepted] = &[
    Accepted::value("registry-resync-interval", "a report wakes its server by itself"),
    Accepted::value("registry-client-timeout", "the registry is not asked over the network"),
    Accepted::value("registry-data-max-age", "a report is bound to one boot by its token"),
    Accepted::value(
        "resource-polling-interval",
        "a BMC that does not answer is asked by the queue",
    ),
    Accepted::value("resource-polling-timeout", "every Redfish request has a deadline of its own"),
    Accepted::value("bmc-failure-reset-delay", "a BMC is not reset by itself"),
    Accepted::value("bmc-reset-resync-interval", "a BMC is not reset by itself"),
    Accepted::value("bmc-reset-waiting-interval", "a BMC is not reset by itself"),
    Accepted::value("ssh-reset-timeout", "a BMC is not reset by SSH"),
    Accepted::value("maintenance-resync-interval", "maintenances are not worked on"),
    Accepted::value("default-failed-auto-retry-count", "firmware and settings are not worked on"),
    Accepted::value("bios-setting-timeout", "settings are not worked on"),
    Accepted::value("event-url", "BMC events are not received"),
    Accepted::value("event-port", "BMC events are not received"),
    Accepted::value("event-protocol", "BMC events are not received"),
    Accepted::value("dns-record-template-path", "DNS records are not made"),
    Accepted::env("EVENT_ADDRESS", "BMC events are not received"),
];

/// Flags that are missing, or contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The URL of the registry is not known.
    #[error("set --registry-url, or REGISTRY_ADDRESS: machines must know where to report to")]
    NoRegistry,
    /// The URL is invalid.
    #[error("--virtual-media-url: `{0}` does not begin with http:// or https://")]
    VirtualMediaUrl(String),
    /// The URL is invalid.
    #[error("--registry-url: `{0}` does not begin with http:// or https://")]
    RegistryUrl(String),
    /// Verification is both enabled and disabled.
    #[error("--skip-cert-validation and --bmc-ca-file contradict each other: remove one")]
    Verification,
    /// A time is zero.
    #[error("{0} must be longer than nothing")]
    Zero(&'static str),
}

impl Args {
    /// Checks flags against each other.
    ///
    /// # Errors
    ///
    /// The first contradiction.
    pub fn check(&self) -> Result<(), Contradiction> {
        if self.skip_cert_validation && self.bmc_ca_file.is_some() {
            return Err(Contradiction::Verification);
        }
        let times = [
            ("--boot-window", self.boot_window),
            ("--discovery-timeout", self.discovery_timeout),
            ("--power-polling-interval", self.power_polling_interval),
            ("--power-polling-timeout", self.power_polling_timeout),
            ("--server-resync-interval", self.server_resync_interval),
        ];
        if let Some((flag, _)) = times.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(Contradiction::Zero(flag));
        }
        self.virtual_media()?;
        self.advertised_registry().map(drop)
    }

    /// Where BMCs read media from, without a trailing slash; `None` if no server boots from media.
    ///
    /// # Errors
    ///
    /// If it is not a URL.
    pub fn virtual_media(&self) -> Result<Option<String>, Contradiction> {
        let Some(url) = self.virtual_media_url.as_deref().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        if url.starts_with("http://") || url.starts_with("https://") {
            return Ok(Some(url.trim_end_matches('/').to_owned()));
        }
        Err(Contradiction::VirtualMediaUrl(url.to_owned()))
    }

    /// Where agents find the registry, without a trailing slash.
    ///
    /// # Errors
    ///
    /// If it is not given.
    pub fn advertised_registry(&self) -> Result<String, Contradiction> {
        if let Some(url) = self.registry_url.as_deref().filter(|url| !url.is_empty()) {
            let is_http = url.starts_with("http://") || url.starts_with("https://");
            return if is_http {
                Ok(url.trim_end_matches('/').to_owned())
            } else {
                Err(Contradiction::RegistryUrl(url.to_owned()))
            };
        }
        let address = self.registry_address.as_deref().filter(|address| !address.is_empty());
        let address = address.ok_or(Contradiction::NoRegistry)?;
        Ok(format!("{}://{address}:{}", self.registry_protocol, self.registry_port))
    }

    /// Scheme of BMCs without one.
    pub fn default_scheme(&self) -> Scheme {
        let plain = self.protocol.map(|protocol| protocol == Protocol::Http).or(self.insecure);
        if plain == Some(true) { Scheme::Http } else { Scheme::Https }
    }

    /// How BMCs are authenticated.
    pub fn verification(&self) -> Verification {
        match (&self.bmc_ca_file, self.skip_cert_validation) {
            (Some(_), _) => Verification::Authorities,
            (None, true) => Verification::Off,
            (None, false) => Verification::Pinned,
        }
    }

    /// The settings that the lifecycle of servers depends on.
    pub fn settings(&self) -> Settings {
        let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Settings {
            namespace: self.manager_namespace.clone(),
            boot_window: signed(self.boot_window),
            discovery_timeout: signed(self.discovery_timeout),
            discovery_attempts: self.discovery_attempts,
            shutdown_grace: signed(self.power_polling_timeout),
            power_polling: signed(self.power_polling_interval),
            resync: signed(self.server_resync_interval),
            enforce_first_boot: self.enforce_first_boot,
            enforce_power_off: self.enforce_power_off,
            virtual_media: self.virtual_media().is_ok_and(|url| url.is_some()),
        }
    }
}

#[cfg(test)]
mod tests;
