//! What is read once, before anything runs. Every error here is a start-up message.

use crate::{DiscoveryBoot, MANAGER, args::Args};
use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use metal_bmc::{Config, Strangers, Trust};
use metal_core::{
    capability::Key,
    discovery::{DEFAULT_TEMPLATE, IgnitionTemplate},
};
use std::{collections::BTreeMap, path::Path};
use tokio::fs;

/// Where the template lies in the peer's image.
const TEMPLATE: &str = "/etc/metal-operator/ignition-template.yaml";
/// Secret with the key of registration tokens, in the manager's namespace.
const KEY_SECRET: &str = "metal-operator-registration-key";
/// Its one entry.
const KEY_ENTRY: &str = "key";
/// Bytes of a new key.
const KEY_BYTES: usize = 32;

/// What a discovery boots.
///
/// # Errors
///
/// If the template is not usable, or the key neither there nor to be made.
pub async fn discovery(args: &Args, client: &Client) -> anyhow::Result<DiscoveryBoot> {
    Ok(DiscoveryBoot {
        os_image: args.probe_os_image.clone(),
        probe_image: args.probe_image.clone(),
        registry_url: args.advertised_registry()?,
        template: template(args.discovery_ignition_path.as_deref()).await?,
        key: key(client, &args.manager_namespace).await?,
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

/// The key that every replica, and every start, shares: made once.
async fn key(client: &Client, namespace: &str) -> anyhow::Result<Key> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let what = || format!("Secret {namespace}/{KEY_SECRET}");
    for _ in 0..3 {
        if let Some(secret) = secrets.get_opt(KEY_SECRET).await.with_context(what)? {
            let bytes = secret.data.as_ref().and_then(|data| data.get(KEY_ENTRY));
            let bytes =
                bytes.with_context(|| format!("{}: data.{KEY_ENTRY} is missing", what()))?;
            return Key::new(&bytes.0).with_context(|| format!("{}: data.{KEY_ENTRY}", what()));
        }
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).context("no randomness for the registration key")?;
        let mut secret = Secret {
            data: Some(BTreeMap::from([(KEY_ENTRY.to_owned(), ByteString(bytes.to_vec()))])),
            ..Secret::default()
        };
        secret.metadata.name = Some(KEY_SECRET.to_owned());
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match secrets.create(&params, &secret).await {
            Ok(_) => {}
            // Another replica was faster: its key counts.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).with_context(what),
        }
    }
    anyhow::bail!("{}: neither to be read nor to be made", what())
}

/// How BMCs are spoken to.
///
/// # Errors
///
/// If the CA file is not usable.
pub async fn bmcs(args: &Args) -> anyhow::Result<Config> {
    let trust = match (&args.bmc_ca_file, args.skip_cert_validation) {
        (Some(path), _) => {
            let what = || format!("--bmc-ca-file {}", path.display());
            let bundle = fs::read(path).await.with_context(what)?;
            Trust::new(Strangers::Refuse).with_authorities(&bundle).with_context(what)?
        }
        (None, true) => Trust::new(Strangers::Accept),
        (None, false) => Trust::new(Strangers::PinFirst),
    };
    Ok(Config { trust, ..Config::default() })
}
