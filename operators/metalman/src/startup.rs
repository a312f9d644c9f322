//! Settings that are derived from flags.

use crate::{NAME, args::Args, cluster::Source};
use anyhow::Context as _;
use kube::Client;
use metal_image::{
    AllowList, Trees,
    args::ArgsError,
    tree::{Config, Limits},
};
use metal_runtime::shared_key::SharedKey;
use std::{env, path::PathBuf, sync::Arc};
use tokio_util::sync::CancellationToken;

/// The Secret with the key of tokens in URLs.
const KEY_SECRET: &str = "metalman-key";
/// Where metalman is installed, and where Azure/unbounded's always has its Lease.
const NAMESPACE: &str = "unbounded-kube";
/// Default folder of the image cache.
const CACHE: &str = "/var/cache/metalman";

/// Fills in the namespace of the Lease. Where two processes lead by different Leases, both switch
/// the same machines; so one that is started by hand uses that of the installed one.
pub(crate) fn with_namespace(mut args: Args, client: &Client) -> Args {
    let is_pod = env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let usual = || lease_namespace(client.default_namespace(), is_pod).to_owned();
    args.election.leader_elect_namespace.get_or_insert_with(usual);
    args
}

fn lease_namespace(of_client: &str, is_pod: bool) -> &str {
    if of_client == "default" && !is_pod { NAMESPACE } else { of_client }
}

/// Opens the folder of images.
///
/// # Errors
///
/// If the folder or a flag is unusable.
pub(crate) async fn trees(args: &Args, shutdown: &CancellationToken) -> anyhow::Result<Trees> {
    let dir = cache_dir(args);
    let (limit, kept, limits) = (args.image_cache_size, args.kept_images_size, limits(args));
    let config = Config { dir: dir.clone(), limit, kept, limits };
    let registries = Arc::new(args.registry.registries().await?);
    let trees = Trees::open(config, registries, allowed(args)?, shutdown.clone()).await;
    trees.with_context(|| format!("--cache-dir: {}", dir.display()))
}

fn limits(args: &Args) -> Limits {
    Limits { bytes: args.image_cache_size, ..Limits::default() }
}

fn cache_dir(args: &Args) -> PathBuf {
    let by_systemd = || env::var_os("CACHE_DIRECTORY").map(PathBuf::from);
    args.cache_dir.clone().or_else(by_systemd).unwrap_or_else(|| CACHE.into())
}

fn allowed(args: &Args) -> Result<AllowList, ArgsError> {
    if args.registry.allowed_registries.is_empty() {
        return Ok(AllowList::any());
    }
    args.registry.allowed()
}

/// The Secret with the key of tokens, which is shared by all replicas.
pub(crate) fn key(args: &Args, client: &Client) -> SharedKey {
    SharedKey {
        client: client.clone(),
        namespace: args.election.namespace(client).to_owned(),
        name: KEY_SECRET,
        manager: NAME,
        file: None,
    }
}

/// The only namespace whose ConfigMaps are served.
pub(crate) fn user_data_namespace(args: &Args, client: &Client) -> String {
    args.user_data_namespace.clone().unwrap_or_else(|| args.election.namespace(client).to_owned())
}

/// The sources of the cluster information.
pub(crate) fn source(args: &Args, client: &Client, authorities: Option<String>) -> Source {
    Source {
        client: client.clone(),
        apiserver_url: args.apiserver_url.clone().filter(|url| !url.is_empty()),
        dns: args.cluster_dns.map(|address| address.to_string()),
        authorities,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_started_by_hand_leads_by_the_lease_of_the_one_that_is_installed() {
        assert_eq!(lease_namespace("default", false), "unbounded-kube");
        assert_eq!(lease_namespace("other", false), "other");
        assert_eq!(lease_namespace("default", true), "default");
        assert_eq!(lease_namespace("unbounded-kube", true), "unbounded-kube");
    }
}
