//! Flags: those of ironcore's metal-operator, and our own.

use clap::{Parser, ValueEnum};
use jiff::SignedDuration;
use metal_base::base_url;
use metal_core::{bmc::Verification, redfish::Scheme, server::Settings};
use metal_runtime::args::{self, Accepted, BindAddress, RuntimeArgs};
use std::{path::PathBuf, time::Duration};

/// Discovers bare-metal servers through their BMCs, inventories them, and assigns them to claims.
#[derive(Clone, Debug, Parser)]
#[command(name = "metal-operator", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of ironcore")]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Container image of the discovery agent (metalprobe), run by the ignition for discovery
    #[arg(long, value_name = "IMAGE")]
    pub probe_image: String,
    /// OS image that servers boot for discovery
    #[arg(long, value_name = "IMAGE")]
    pub probe_os_image: String,
    /// Namespace for the boot configurations and Secrets of discovery
    #[arg(long, default_value = "default", value_parser = args::namespace, value_name = "NAMESPACE")]
    pub manager_namespace: String,
    /// MAC prefix database (YAML): which MAC addresses belong to BMCs, and their initial
    /// credentials
    #[arg(long, value_name = "FILE")]
    pub mac_prefixes_file: Option<PathBuf>,
    /// Template of the ignition for discovery [default: /etc/metal-operator/ignition-template.yaml
    /// if it exists, otherwise built-in]
    #[arg(long, value_name = "FILE")]
    pub discovery_ignition_path: Option<PathBuf>,
    /// How long after the start of a boot a server may fetch what it boots; boot-operator refuses
    /// requests after that, or after the server has reported
    #[arg(long, default_value = "30m", value_parser = args::duration)]
    pub boot_window: Duration,
    /// Maximum time from power-on to the report of the discovery agent
    #[arg(long, default_value = "30m", value_parser = args::duration)]
    pub discovery_timeout: Duration,
    /// Number of consecutive failed discoveries after which a server enters the state Error
    #[arg(long, default_value_t = 5)]
    pub discovery_attempts: u32,
    /// How often to poll a server while its power state is changing
    #[arg(long, default_value = "5s", value_parser = args::duration)]
    pub power_polling_interval: Duration,
    /// Grace period for a host to shut down, before its power is cut (if --enforce-power-off allows
    /// that)
    #[arg(long, default_value = "2m", value_parser = args::duration)]
    pub power_polling_timeout: Duration,
    /// How often to poll a server in a steady state
    #[arg(long, default_value = "2m", value_parser = args::duration)]
    pub server_resync_interval: Duration,
    /// Power off servers that are running when they are first seen, in order to discover them
    #[arg(long)]
    pub enforce_first_boot: bool,
    /// Force power off if a host does not shut down within --power-polling-timeout, unless a claim
    /// wants it on
    #[arg(long)]
    pub enforce_power_off: bool,
    /// URL at which discovery agents reach the report registry
    #[arg(long, value_name = "URL")]
    pub registry_url: Option<String>,
    /// Host name or address of the report registry, if --registry-url is not set
    #[arg(long, env = "REGISTRY_ADDRESS", hide = true)]
    pub registry_address: Option<String>,
    /// URL scheme of the report registry, if --registry-url is not set
    #[arg(long, default_value = "http")]
    pub registry_protocol: String,
    /// Port of the report registry
    #[arg(long, default_value_t = 10000)]
    pub registry_port: u16,
    /// Listen address of the report registry [default: all addresses, --registry-port]
    #[arg(long, value_name = "ADDRESS")]
    pub registry_bind_address: Option<BindAddress>,
    /// URL at which BMCs reach boot-operator, as http://host:port; required for booting by virtual
    /// media [default: virtual media disabled]
    #[arg(long, value_name = "URL")]
    pub virtual_media_url: Option<String>,
    /// Whether newly discovered servers can be claimed at once (claimable), or only after an
    /// administrator has removed the taint bloomery.dev/not-admitted (held)
    #[arg(long, value_enum, default_value_t = NewServers::Claimable)]
    pub new_servers: NewServers,
    /// File with the key from the Secret metal-operator-registration-key; lets the report registry
    /// start while the API server is unreachable
    #[arg(long, value_name = "FILE")]
    pub registry_key_file: Option<PathBuf>,
    /// Accept reports without a token. INSECURE: anyone who can reach the registry can forge
    /// inventories
    #[arg(long)]
    pub registry_allow_tokenless: bool,
    /// Scheme for BMCs that do not specify one [default: https; see --insecure]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Deprecated, use --protocol: true for http, false for https
    #[arg(long)]
    pub insecure: Option<bool>,
    /// Do not verify the TLS certificates of BMCs
    #[arg(long)]
    pub skip_cert_validation: bool,
    /// PEM file with the certificate authorities that sign BMC certificates
    #[arg(long, value_name = "FILE")]
    pub bmc_ca_file: Option<PathBuf>,
    /// Maximum number of servers reconciled concurrently
    #[arg(long, default_value_t = 64)]
    pub server_max_concurrent_reconciles: usize,
    /// Maximum number of claims reconciled concurrently
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

/// Flags of ironcore's metal-operator that have no effect here.
pub const ACCEPTED: &[Accepted] = &[
    Accepted::value("registry-resync-interval", "a report triggers reconciliation of its server"),
    Accepted::value("registry-client-timeout", "the registry runs in the same process"),
    Accepted::value("registry-data-max-age", "a report is bound to one boot by its token"),
    Accepted::value(
        "resource-polling-interval",
        "requests to a BMC that does not answer are retried with back-off",
    ),
    Accepted::value("resource-polling-timeout", "each Redfish request has its own deadline"),
    Accepted::value("bmc-failure-reset-delay", "BMCs are not reset automatically"),
    Accepted::value("bmc-reset-resync-interval", "BMCs are not reset automatically"),
    Accepted::value("bmc-reset-waiting-interval", "BMCs are not reset automatically"),
    Accepted::value("ssh-reset-timeout", "BMCs are not reset over SSH"),
    Accepted::value("maintenance-resync-interval", "ServerMaintenance is not implemented"),
    Accepted::value(
        "default-failed-auto-retry-count",
        "firmware and settings management is not implemented",
    ),
    Accepted::value("bios-setting-timeout", "settings management is not implemented"),
    Accepted::value("event-url", "BMC event subscriptions are not implemented"),
    Accepted::value("event-port", "BMC event subscriptions are not implemented"),
    Accepted::value("event-protocol", "BMC event subscriptions are not implemented"),
    Accepted::value("dns-record-template-path", "DNS records are not created"),
    Accepted::env("EVENT_ADDRESS", "BMC event subscriptions are not implemented"),
];

/// Flags that are missing, or contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// The URL of the registry is not known.
    #[error(
        "set --registry-url or REGISTRY_ADDRESS: discovery agents need the address of the report registry"
    )]
    NoRegistry,
    /// The URL is invalid.
    #[error("--virtual-media-url: `{0}` is not a URL of the form http://host:port")]
    VirtualMediaUrl(String),
    /// The URL is invalid.
    #[error("--registry-url: `{0}` is not a URL of the form http://host:port")]
    RegistryUrl(String),
    /// What stands for the URL is invalid.
    #[error(
        "REGISTRY_ADDRESS, --registry-protocol and --registry-port make `{0}`, which is not a URL of the form \
         http://host:port"
    )]
    RegistryAddress(String),
    /// No server could boot it, or pull it.
    #[error("{flag}: `{image}` is not an image: use registry/repository:tag")]
    Image {
        /// The flag.
        flag: &'static str,
        /// Its value.
        image: String,
    },
    /// Verification is both enabled and disabled.
    #[error("--skip-cert-validation and --bmc-ca-file cannot be used together; remove one")]
    Verification,
    /// A time or a number is zero.
    #[error("{0} must be greater than zero")]
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
        if self.discovery_attempts == 0 {
            return Err(Contradiction::Zero("--discovery-attempts"));
        }
        self.check_images()?;
        self.virtual_media()?;
        self.advertised_registry().map(drop)
    }

    /// Checks what servers boot and pull for their discovery: a variable that nobody has set stands here as it is
    /// written in the manifest.
    fn check_images(&self) -> Result<(), Contradiction> {
        let images =
            [("--probe-image", &self.probe_image), ("--probe-os-image", &self.probe_os_image)];
        match images.into_iter().find(|(_, image)| !is_image(image)) {
            Some((flag, image)) => Err(Contradiction::Image { flag, image: image.clone() }),
            None => Ok(()),
        }
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
        let media = base_url(url).map(|url| Some(url.to_owned()));
        media.ok_or_else(|| Contradiction::VirtualMediaUrl(url.to_owned()))
    }

    /// Where agents find the registry, without a trailing slash.
    ///
    /// # Errors
    ///
    /// If it is not given, or is not a URL.
    pub fn advertised_registry(&self) -> Result<String, Contradiction> {
        if let Some(url) = self.registry_url.as_deref().filter(|url| !url.is_empty()) {
            let url_of = base_url(url).map(str::to_owned);
            return url_of.ok_or_else(|| Contradiction::RegistryUrl(url.to_owned()));
        }
        let address = self.registry_address.as_deref().filter(|address| !address.is_empty());
        let address = address.ok_or(Contradiction::NoRegistry)?;
        let (protocol, host) = (&self.registry_protocol, metal_base::host(address));
        let url = format!("{protocol}://{host}:{}", self.registry_port);
        if base_url(&url).is_some() { Ok(url) } else { Err(Contradiction::RegistryAddress(url)) }
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

/// Whether a text has nothing but what references to images are made of.
fn is_image(text: &str) -> bool {
    let is_of_reference = |c: char| c.is_ascii_alphanumeric() || "-._/:@[]".contains(c);
    !text.is_empty() && text.chars().all(is_of_reference)
}

#[cfg(test)]
mod tests;
