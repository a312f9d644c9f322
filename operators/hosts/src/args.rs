//! The command line.

use clap::Parser;
use ipnet::IpNet;
use metal_api::BootInstaller;
use metal_base::base_url;
use metal_core::{
    boot_token::installer::{is_word, source},
    pull_secret::is_name,
};
use metal_image::{Reference, RegistryArgs, Version};
use metal_runtime::{
    args::{self, Accepted, BindAddress, RuntimeArgs},
    report::Chain,
    tls::HttpsArgs,
};
use std::path::PathBuf;

/// Flags of others that mean nothing here: there are none.
pub const ACCEPTED: &[Accepted] = &[];

/// Installs rented servers from one secret URL each, and tells them which release to run.
#[derive(Clone, Debug, Parser)]
#[command(name = "hosts", version)]
pub struct Args {
    /// What every operator has.
    #[command(flatten)]
    pub runtime: RuntimeArgs,
    /// URL at which machines reach this server, as https://host
    #[arg(long, value_name = "URL", value_parser = service_url)]
    pub service_url: String,
    /// The HTTPS server.
    #[command(flatten)]
    pub https: HttpsArgs,
    /// Listen address of the plain HTTP server, for an ingress that terminates TLS; 0 disables it
    #[arg(long, default_value = "0", value_name = "ADDRESS")]
    pub http_server_address: BindAddress,
    /// Networks of proxies whose X-Forwarded-For header is trusted; list only the ingress [default:
    /// none]
    #[arg(long, value_delimiter = ',', value_name = "CIDR,..")]
    pub trusted_proxies: Vec<IpNet>,
    /// Folder with kickstart templates, each NAME.ks.tmpl [default: the built-in template `default`]
    #[arg(long, value_name = "DIR")]
    pub templates_dir: Option<PathBuf>,
    /// OCI image with the installer, by its digest, used for tokens that do not specify one;
    /// requires --image-cache-dir
    #[arg(long, value_name = "IMAGE", value_parser = image, requires = "image_cache_dir")]
    pub installer_image: Option<String>,
    /// Secret with the login for that image, in the namespace of this server [default: none]
    #[arg(long, value_name = "NAME", value_parser = secret, requires = "installer_image")]
    pub installer_pull_secret: Option<String>,
    /// URL of the kernel of the installer, used for tokens that do not specify one
    #[arg(long, value_name = "URL", value_parser = url, requires = "installer_initrd_url")]
    #[arg(conflicts_with = "installer_image")]
    pub installer_kernel_url: Option<String>,
    /// URL of the initial RAM disk of that installer
    #[arg(long, value_name = "URL", value_parser = url, requires = "installer_kernel_url")]
    pub installer_initrd_url: Option<String>,
    /// URL of the second stage of that installer (inst.stage2)
    #[arg(long, value_name = "URL", value_parser = url, requires = "installer_kernel_url")]
    pub installer_stage2_url: Option<String>,
    /// Additional kernel argument for that installer; may be repeated
    #[arg(long = "installer-argument", value_name = "WORD", value_parser = word)]
    pub installer_arguments: Vec<String>,
    /// Architecture of the machines, as in the platform of OCI images
    #[arg(long, default_value = "amd64", value_name = "NAME")]
    pub architecture: String,
    /// Which registries, and how to access them.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// Cache directory for image layers, created if missing. Must be owned by the user of this
    /// process, and not shared with another process [default: no images are served]
    #[arg(long, value_name = "DIR")]
    pub image_cache_dir: Option<PathBuf>,
    /// Maximum size of the image cache
    #[arg(long, default_value = "10Gi", value_parser = args::size, value_name = "BYTES")]
    pub image_cache_size: u64,
    /// Maximum number of tokens, and of hosts, reconciled concurrently
    #[arg(long, default_value_t = 8)]
    pub max_concurrent_reconciles: usize,
}

/// Flags that contradict each other.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Contradiction {
    /// Nobody could reach it.
    #[error(
        "no listener configured: set --https-certificate-file and --https-key-file, or \
         --http-server-address"
    )]
    NoListener,
    /// Nobody's kernel would have them.
    #[error(
        "--installer-argument: say whose: --installer-image, or --installer-kernel-url and \
         --installer-initrd-url; tokens with an installer of their own have their own arguments"
    )]
    NoInstaller,
}

impl Args {
    /// Whether every argument of an installer is for one.
    ///
    /// # Errors
    ///
    /// If it is not said for which.
    pub(crate) fn check_installer(&self) -> Result<(), Contradiction> {
        let is_lost = !self.installer_arguments.is_empty() && self.installer().is_none();
        if is_lost { Err(Contradiction::NoInstaller) } else { Ok(()) }
    }

    /// The installer for tokens that do not specify one.
    pub(crate) fn installer(&self) -> Option<BootInstaller> {
        let installer = BootInstaller {
            kind: None,
            image: self.installer_image.clone(),
            kernel_url: self.installer_kernel_url.clone(),
            initrd_url: self.installer_initrd_url.clone(),
            stage2_url: self.installer_stage2_url.clone(),
            arguments: self.installer_arguments.clone(),
        };
        source(&installer, "").is_some().then_some(installer)
    }
}

/// The URLs of scripts and capabilities begin with it.
fn service_url(text: &str) -> Result<String, String> {
    let url = base_url(text).filter(|url| is_word(url)).map(str::to_owned);
    url.ok_or_else(|| "give a URL like https://host.example.org".to_owned())
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':']));
    if !has_host || !is_word(text) || text.contains(['?', '#']) {
        return Err("give a URL like https://host.example.org".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn image(text: &str) -> Result<String, String> {
    let image: Reference = text.parse().map_err(|error| Chain(&error).to_string())?;
    match image.version {
        Version::Digest(_) => Ok(text.to_owned()),
        Version::Tag(_) => Err("give its digest, as in ghcr.io/example/installer@sha256:…".into()),
    }
}

fn secret(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("give the name of a Secret".to_owned()) }
}

fn word(text: &str) -> Result<String, String> {
    let refusal =
        "give one word of printable ASCII without quotation marks, dollar signs and the like";
    if is_word(text) { Ok(text.to_owned()) } else { Err(refusal.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_runtime::args::try_parse;

    #[test]
    fn urls_and_arguments_are_such_that_no_script_is_broken_by_them() {
        let args = parsed(&["--service-url=https://hosts.example.org/"]).unwrap();
        assert_eq!(args.service_url, "https://hosts.example.org");
        assert_eq!(args.installer(), None);
        for bad in ["hosts", "https://", "https:///x", "https://a b", "ftp://a", "https://a?b"] {
            assert!(parsed(&[&format!("--service-url={bad}")]).is_err(), "{bad}");
        }
        for bad in ["https://a:b", "https://a:99999", "https://fd00::1", "https://$(HOST)"] {
            assert!(parsed(&[&format!("--service-url={bad}")]).is_err(), "{bad}");
        }
        let service = "--service-url=https://a";
        assert!(parsed(&[service, "--installer-argument=a b"]).is_err());
        let argument = "--installer-argument=console=ttyS0";
        assert!(parsed(&[service, argument]).unwrap().check_installer().is_err(), "of which one");
        assert!(parsed(&[service, "--installer-kernel-url=http://m/vmlinuz"]).is_err());
        let both = ["--installer-kernel-url=http://m/k", "--installer-initrd-url=http://m/i"];
        let args = parsed(&[&[service][..], &both].concat()).unwrap();
        assert_eq!(args.installer().unwrap().initrd_url.as_deref(), Some("http://m/i"));
        let args = parsed(&[&[service, argument][..], &both].concat()).unwrap();
        assert!(args.check_installer().is_ok());
        let image = format!("--installer-image=ghcr.io/a/b@sha256:{}", "a".repeat(64));
        let dir = "--image-cache-dir=/var/cache/hosts";
        let args = parsed(&[service, &image, dir]).unwrap();
        assert_eq!(
            args.installer().unwrap().image.as_deref(),
            image.split_once('=').map(|it| it.1)
        );
        assert!(parsed(&[service, &image]).is_err());
        assert!(parsed(&[service, &image, dir, "--installer-pull-secret=login"]).is_ok());
        assert!(parsed(&[service, &image, dir, "--installer-pull-secret=../login"]).is_err());
        assert!(parsed(&[service, "--installer-pull-secret=login"]).is_err());
        assert!(parsed(&[&[service, &image, dir][..], &both].concat()).is_err());
        assert!(parsed(&[service, "--installer-image=ghcr.io/a/b:1", dir]).is_err());
        assert!(parsed(&[service, "--https-certificate-file=/a"]).is_err());
    }

    fn parsed(words: &[&str]) -> Result<Args, clap::Error> {
        let line = ["hosts"].iter().chain(words).map(Into::into);
        try_parse::<Args>(ACCEPTED, line, |_| false).map(|parsed| parsed.args)
    }
}
