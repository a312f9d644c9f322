//! Flags: those of ironcore's boot-operator, and our own.

mod controllers;
#[cfg(test)]
mod tests;

pub use controllers::{Controllers, Unknown};

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use metal_base::base_url;
use metal_core::pull_secret::is_name;
use metal_image::{AllowList, RegistryArgs};
use metal_runtime::{
    args::{self, Accepted, BindAddress, RuntimeArgs},
    tls::HttpsArgs,
};
use std::{num::NonZeroU32, path::PathBuf, time::Duration};

/// Prepares and serves what servers boot: iPXE scripts, kernels, UKIs, virtual media and ignitions.
#[derive(Clone, Debug, Parser)]
#[command(name = "boot-operator", version)]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// Architecture of the servers, as in the platform of OCI images
    #[arg(long, default_value = "amd64", value_name = "NAME")]
    pub architecture: String,
    /// URL at which machines reach the boot server, as http://host:port
    #[arg(long, value_name = "URL")]
    pub ipxe_service_url: Option<String>,
    /// Host name or address of the boot server, if --ipxe-service-url is not set
    #[arg(long, env = "IPXE_SERVER_ADDRESS", hide = true)]
    pub ipxe_server_address: Option<String>,
    /// URL scheme of the boot server, if --ipxe-service-url is not set
    #[arg(long, default_value = "http", value_name = "SCHEME")]
    pub ipxe_service_protocol: String,
    /// Port of the boot server, if --ipxe-service-url is not set
    #[arg(long, default_value_t = 5000, value_name = "PORT")]
    pub ipxe_service_port: u16,
    /// URL at which machines reach the image server, as http://host:port/httpboot [default: the
    /// boot server, which also serves images]
    #[arg(long, value_name = "URL")]
    pub image_server_url: Option<String>,
    /// OCI image with the UKI for machines without a boot configuration
    #[arg(long, value_name = "IMAGE")]
    pub default_httpboot_oci_image: Option<String>,
    /// Deprecated: URL of the UKI for machines without a boot configuration
    #[arg(long, value_name = "URL")]
    pub default_httpboot_uki_url: Option<String>,
    /// Which registries, and how to access them.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Secret with logins for registries, in the namespace of this server. Whoever may choose an image
    /// can have any fetched that they open [default: none]
    #[arg(long, value_name = "NAME", value_parser = secret)]
    pub image_pull_secret: Option<String>,
    /// Controllers to run: ipxebootconfig, httpbootconfig, serverbootconfigpxe,
    /// serverbootconfighttp; * enables all, -name disables one. ironcore's boot-operator runs none
    /// by default
    #[arg(long, default_value = "*", value_name = "NAME,..", allow_hyphen_values = true)]
    pub controllers: Controllers,
    /// Listen address of the boot server
    #[arg(long, default_value = ":8082", value_name = "ADDRESS")]
    pub boot_server_address: BindAddress,
    /// Listen address of the image server; it serves the same paths as the boot server
    #[arg(long, default_value = ":8083", value_name = "ADDRESS")]
    pub image_proxy_server_address: BindAddress,
    /// The HTTPS server.
    #[command(flatten)]
    pub https: HttpsArgs,
    /// Cache directory for image layers, created if missing. Must be owned by the user of this
    /// process, and not shared with another process [default: images in $CACHE_DIRECTORY, or in
    /// /var/cache/boot-operator]
    #[arg(long, value_name = "DIR")]
    pub image_cache_dir: Option<PathBuf>,
    /// Maximum size of the image cache
    #[arg(long, default_value = "10Gi", value_parser = args::size, value_name = "BYTES")]
    pub image_cache_size: u64,
    /// File with the key from the Secret boot-operator-ignition-key; lets boot-operator serve boots
    /// if it starts while the API server is unreachable. Without it, only images are served then
    #[arg(long, value_name = "FILE")]
    pub ignition_key_file: Option<PathBuf>,
    /// Networks of proxies whose X-Forwarded-For header is trusted: the last address in it that is
    /// not such a proxy is the client's. Any host in them can impersonate any machine, so list only
    /// proxies [default: none]
    #[arg(long, value_delimiter = ',', value_name = "CIDR,..")]
    pub trusted_proxies: Vec<IpNet>,
    /// Networks of DHCP servers that request /httpboot on behalf of machines, whose IP and MAC
    /// addresses they list in X-Forwarded-For. Any host in them can ask for any machine, and so can
    /// the clients of a proxy there, so list only DHCP servers [default: none]
    #[arg(long, value_delimiter = ',', value_name = "CIDR,..")]
    pub dhcp_servers: Vec<IpNet>,
    /// Who may fetch an ignition by system UUID alone, without the token from the iPXE script or
    /// UKI URL
    #[arg(long, value_enum, default_value_t = ByUuid::Never)]
    pub ignition_by_uuid: ByUuid,
    /// Whether to serve a server outside of its boot window, which metal-operator opens
    #[arg(long, value_enum, default_value_t = OutsideWindow::Refuse)]
    pub outside_boot_window: OutsideWindow,
    /// Source addresses from which a server may fetch what it boots
    #[arg(long, value_enum, default_value_t = Addresses::Leased)]
    pub machine_addresses: Addresses,
    /// Lifetime of the token in an iPXE script, which also limits its boot window, and the period
    /// of --ignition-fetches
    #[arg(long, default_value = "30m", value_parser = args::duration)]
    pub ignition_window: Duration,
    /// Maximum ignition fetches per --ignition-window and token (or per address, without a token),
    /// over all --replicas; 0 for no limit
    #[arg(long, default_value_t = 20)]
    pub ignition_fetches: u32,
    /// Number of replicas; each one allows its share of --ignition-fetches, at least one
    #[arg(long, default_value_t = NonZeroU32::MIN, value_name = "NUMBER")]
    pub replicas: NonZeroU32,
    /// Maximum number of boot configurations reconciled concurrently
    #[arg(long, default_value_t = 32)]
    pub max_concurrent_reconciles: usize,
}

/// What a server gets outside of its boot window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutsideWindow {
    /// Nothing.
    Refuse,
    /// Everything, like the peer: for servers that are switched on by another metal-operator, which
    /// opens no windows.
    Answer,
}

/// The addresses from which a server may fetch what it boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Addresses {
    /// The addresses that netboot has leased to its interfaces, if there are any.
    Leased,
    /// Any: for machines whose addresses are translated on the way, or that boot in a network where
    /// netboot assigns no addresses while they have addresses of netboot in another one.
    Any,
}

/// Who gets an ignition by UUID, in the boot window of that machine. A UUID is printed on labels,
/// and proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByUuid {
    /// Nobody: users' own scripts have to transport a token in some other way.
    Never,
    /// Machines that do not get our iPXE script: those with a script of their own, and those that
    /// boot by UEFI HTTP only, because their image has no kernel or their boot method is `http`.
    Unscripted,
    /// Everybody, as with ironcore.
    Always,
}

/// Flags of ironcore's boot-operator that have no effect here.
pub const ACCEPTED: &[Accepted] = &[];

/// Flags that contradict each other, or are invalid.
#[derive(Debug, thiserror::Error)]
pub enum Contradiction {
    /// No machine could be told where to boot from.
    #[error(
        "--ipxe-service-url is required by the serverbootconfigpxe and ipxebootconfig controllers; \
         set it, or disable them with --controllers"
    )]
    NoServiceUrl,
    /// No machine could be told where to boot from.
    #[error(
        "--image-server-url or --ipxe-service-url is required by the serverbootconfighttp controller; \
         set one, or disable the controller with --controllers"
    )]
    NoImageUrl,
    /// Not a URL that can be put into a script.
    #[error("--{flag}: {url:?} is not a URL of the form http://host:port")]
    NotAUrl {
        /// The flag.
        flag: &'static str,
        /// Its value.
        url: String,
    },
    /// No UKI would be found at it.
    #[error(
        "--image-server-url: {0:?} must end in /httpboot, where UKIs are served, or have no path"
    )]
    ImagePath(String),
    /// The name of a registry is invalid.
    #[error(transparent)]
    Registry(#[from] metal_image::args::ArgsError),
    /// The name of an image is invalid.
    #[error("--default-httpboot-oci-image")]
    Image(#[source] metal_image::reference::MalformedReference),
    /// The default image is from a registry that is not allowed.
    #[error("--default-httpboot-oci-image")]
    ImageNotAllowed(#[source] metal_image::allow::NotAllowed),
    /// No boot would ever be possible.
    #[error("--ignition-window must be greater than zero")]
    NoWindow,
}

/// The URLs at which machines reach this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// That of the boot server, without a trailing slash.
    pub service: Option<String>,
    /// That of the image server with the path of UKIs, without a trailing slash.
    pub images: Option<String>,
}

impl Args {
    /// The registries that images may be pulled from.
    ///
    /// # Errors
    ///
    /// If the name of a registry is invalid, or the default image is from a registry that is not
    /// allowed.
    pub fn allowed_registries(&self) -> Result<AllowList, Contradiction> {
        let allowed = self.registry.allowed()?;
        if let Some(image) = &self.default_httpboot_oci_image {
            let image: metal_image::Reference = image.parse().map_err(Contradiction::Image)?;
            allowed.check(image.name.registry()).map_err(Contradiction::ImageNotAllowed)?;
        }
        Ok(allowed)
    }

    /// The URLs at which machines reach this process.
    ///
    /// # Errors
    ///
    /// If a controller needs a URL that was not given, or one is invalid.
    pub fn urls(&self) -> Result<Urls, Contradiction> {
        if self.ignition_window.is_zero() {
            return Err(Contradiction::NoWindow);
        }
        let service = match (&self.ipxe_service_url, &self.ipxe_server_address) {
            (Some(url), _) if !url.is_empty() => Some(checked("ipxe-service-url", url)?),
            (_, Some(host)) if !host.is_empty() => {
                let (protocol, port) = (&self.ipxe_service_protocol, self.ipxe_service_port);
                let host = metal_base::host(host);
                Some(checked("ipxe-server-address", &format!("{protocol}://{host}:{port}"))?)
            }
            _ => None,
        };
        let images = match &self.image_server_url {
            Some(url) if !url.is_empty() => Some(with_path(checked("image-server-url", url)?)?),
            _ => service.as_ref().map(|url| format!("{url}/httpboot")),
        };
        if service.is_none() && self.controllers.asks_for_pxe() {
            return Err(Contradiction::NoServiceUrl);
        }
        if images.is_none() && self.controllers.http {
            return Err(Contradiction::NoImageUrl);
        }
        Ok(Urls { service, images })
    }

    /// Directory for layers of images.
    pub fn cache_dir(&self) -> PathBuf {
        // From systemd (CacheDirectory=). Never a place where others may write.
        let given = std::env::var_os("CACHE_DIRECTORY").filter(|dir| !dir.is_empty());
        let default = || given.map_or_else(|| CACHE.into(), PathBuf::from).join("images");
        self.image_cache_dir.clone().unwrap_or_else(default)
    }
}

fn secret(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("give the name of a Secret".to_owned()) }
}

/// The default folder for caches of this program.
const CACHE: &str = "/var/cache/boot-operator";

/// A URL without white space and without a trailing slash.
fn checked(flag: &'static str, url: &str) -> Result<String, Contradiction> {
    let not_a_url = || Contradiction::NotAUrl { flag, url: url.to_owned() };
    base_url(url).map(str::to_owned).ok_or_else(not_a_url)
}

/// UKIs are served under `/httpboot`, which is added to a URL without any path. Nobody could tell where
/// the name of the image begins in another one.
fn with_path(url: String) -> Result<String, Contradiction> {
    let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    match (has_path, url.ends_with("/httpboot")) {
        (false, _) => Ok(format!("{url}/httpboot")),
        (true, true) => Ok(url),
        (true, false) => Err(Contradiction::ImagePath(url)),
    }
}
