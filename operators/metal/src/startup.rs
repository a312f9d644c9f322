//! What is read once, before anything runs. Errors here are start-up messages.

use crate::{DiscoveryBoot, MANAGER, args::Args};
use anyhow::Context as _;
use kube::Client;
use metal_bmc::{Config, Trust, UntrustedPolicy};
use metal_ignition::discovery::{DEFAULT_TEMPLATE, IgnitionTemplate};
use metal_runtime::{Deferred, shared_key::SharedKey};
use std::path::Path;
use tokio::fs;

/// The path of the template in ironcore's image.
const TEMPLATE: &str = "/etc/metal-operator/ignition-template.yaml";
/// Secret with the key of registration tokens, in the operator's namespace.
const KEY_SECRET: &str = "metal-operator-registration-key";

/// What a discovery boots.
///
/// # Errors
///
/// If the template cannot be used.
pub(crate) async fn discovery(args: &Args) -> anyhow::Result<DiscoveryBoot> {
    Ok(DiscoveryBoot {
        os_image: args.probe_os_image.clone(),
        probe_image: args.probe_image.clone(),
        registry_url: args.advertised_registry()?,
        template: template(args.discovery_ignition_path.as_deref()).await?,
        key: Deferred::default(),
    })
}

async fn template(path: Option<&Path>) -> anyhow::Result<IgnitionTemplate> {
    let (path, text) = match path {
        Some(path) => (path, fs::read_to_string(path).await),
        None => match fs::read_to_string(TEMPLATE).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                (Path::new("built in"), Ok(DEFAULT_TEMPLATE.to_owned()))
            }
            other => (Path::new(TEMPLATE), other),
        },
    };
    let what = || format!("--discovery-ignition-path {}", path.display());
    let text = text.with_context(what)?;
    IgnitionTemplate::parse(&text).with_context(what)
}

/// The key that all replicas share and that survives restarts.
pub(crate) fn key(args: &Args, client: &Client) -> SharedKey {
    SharedKey {
        client: client.clone(),
        namespace: args.manager_namespace.clone(),
        name: KEY_SECRET,
        manager: MANAGER,
        file: args.registry_key_file.clone().map(|path| ("--registry-key-file", path)),
    }
}

/// How BMCs are accessed.
///
/// # Errors
///
/// If the CA file cannot be used.
pub(crate) async fn bmcs(args: &Args) -> anyhow::Result<Config> {
    let trust = match (&args.bmc_ca_file, args.skip_cert_validation) {
        (Some(path), _) => {
            let what = || format!("--bmc-ca-file {}", path.display());
            let bundle = fs::read(path).await.with_context(what)?;
            Trust::new(UntrustedPolicy::Refuse).with_authorities(&bundle).with_context(what)?
        }
        (None, true) => Trust::new(UntrustedPolicy::Accept),
        (None, false) => Trust::new(UntrustedPolicy::PinFirst),
    };
    Ok(Config { trust, ..Config::default() })
}
