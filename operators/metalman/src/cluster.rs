//! The information about the cluster for joining machines: its URL, authorities, DNS and version.

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::{Api, Client};
use metal_machine::provisioning::{
    agent::Cluster,
    cluster_info::{ClusterInfo, cluster_info},
};
use metal_runtime::{Deferred, jittered, report::Chain};
use std::{error::Error as StdError, sync::Arc, time::Duration};
use tokio::time::sleep;

/// How often it is refreshed.
const PERIOD: Duration = Duration::from_mins(5);
/// Retry interval.
const RETRY: Duration = Duration::from_secs(10);

/// The sources of the information.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) client: Client,
    /// URL of the API server, instead of what `kube-public/cluster-info` says.
    pub(crate) apiserver_url: Option<String>,
    /// Address of DNS, instead of that of the Service `kube-system/kube-dns`.
    pub(crate) dns: Option<String>,
    /// Certificate authorities of the cluster, if there is no `cluster-info`, as PEM.
    pub(crate) authorities: Option<String>,
}

/// Why the information is incomplete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A request to the API server failed.
    #[error("could not read {0}")]
    Api(&'static str, #[source] Box<dyn StdError + Send + Sync>),
    /// An object is invalid.
    #[error("ConfigMap kube-public/cluster-info: {0}")]
    ClusterInfo(String),
    /// There is no such object.
    #[error("{0}")]
    Missing(&'static str),
}

/// Updates `cluster`, forever.
pub(crate) async fn follow(source: Source, cluster: &Deferred<Arc<Cluster>>) {
    let mut told = None;
    loop {
        let wait = match source.read().await {
            Ok(read) => {
                if cluster.get().is_none_or(|known| *known != read) {
                    let (url, version) = (&read.apiserver_url, &read.version);
                    tracing::info!(
                        url,
                        version,
                        dns = read.dns,
                        "loaded the cluster information for joining machines"
                    );
                    cluster.set(Arc::new(read));
                }
                told = None;
                PERIOD
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                if told.as_ref() != Some(&error) {
                    tracing::warn!(
                        error,
                        "could not determine the cluster information for joining machines"
                    );
                }
                told = Some(error);
                RETRY
            }
        };
        sleep(jittered(wait)).await;
    }
}

impl Source {
    async fn read(&self) -> Result<Cluster, Error> {
        let ClusterInfo { server, authorities } = self.info().await?;
        let version = self.client.apiserver_version().await.map_err(api("the version"))?;
        let dns = match &self.dns {
            Some(dns) => dns.clone(),
            None => self.dns().await?,
        };
        Ok(Cluster {
            apiserver_url: server,
            authorities,
            dns,
            version: version.git_version,
            node_labels: [].into(),
        })
    }

    async fn info(&self) -> Result<ClusterInfo, Error> {
        let maps = Api::<ConfigMap>::namespaced(self.client.clone(), "kube-public");
        let map = maps.get_opt("cluster-info").await.map_err(api("kube-public/cluster-info"))?;
        let text = map.and_then(|map| map.data?.remove("kubeconfig"));
        let info = text.map(|text| cluster_info(&text).map_err(Error::ClusterInfo)).transpose()?;
        match (info, &self.apiserver_url, &self.authorities) {
            (Some(info), Some(url), _) => Ok(ClusterInfo { server: url.clone(), ..info }),
            (Some(info), None, _) => Ok(info),
            (None, Some(url), Some(authorities)) => {
                Ok(ClusterInfo { server: url.clone(), authorities: authorities.clone() })
            }
            (None, _, _) => Err(Error::Missing(
                "ConfigMap kube-public/cluster-info not found: set --apiserver-url",
            )),
        }
    }

    async fn dns(&self) -> Result<String, Error> {
        let services = Api::<Service>::namespaced(self.client.clone(), "kube-system");
        let service = services.get_opt("kube-dns").await.map_err(api("kube-system/kube-dns"))?;
        let address = service.and_then(|service| service.spec?.cluster_ip);
        let missing = "Service kube-system/kube-dns not found: set --cluster-dns";
        address.filter(|address| address != "None").ok_or(Error::Missing(missing))
    }
}

fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Api(what, Box::new(source))
}
