//! The information about the cluster for joining machines: its URL, authorities, DNS and version.

use k8s_openapi::api::core::v1::{ConfigMap, Service};
use kube::{Api, Client};
use metal_base::Locked;
use metal_machine::provisioning::{
    agent::Cluster,
    cluster_info::{ClusterInfo, cluster_info},
};
use metal_runtime::{Deferred, jittered, report::Chain};
use std::{
    error::Error as StdError,
    sync::{Arc, Mutex},
    time::Duration,
};
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

impl Error {
    /// Whether it remains so until a person does something.
    fn needs_person(&self) -> bool {
        match self {
            Self::Api(_, source) => {
                let refused = source.downcast_ref::<kube::Error>();
                matches!(refused, Some(kube::Error::Api(status)) if status.is_forbidden())
            }
            Self::ClusterInfo(_) | Self::Missing(_) => true,
        }
    }
}

/// The cluster that machines join, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct JoinedCluster {
    known: Deferred<Arc<Cluster>>,
    /// Why it is not, if a person has to do something about that.
    unknown: Mutex<Option<String>>,
}

impl JoinedCluster {
    /// The last known information, which is kept while it cannot be read again.
    pub(crate) fn get(&self) -> Option<Arc<Cluster>> {
        self.known.get()
    }

    /// Why there is none, if a person has to do something about that.
    pub(crate) fn unknown(&self) -> Option<String> {
        self.unknown.locked().clone().filter(|_| self.known.get().is_none())
    }

    /// Stores the information. Returns whether it has changed.
    pub(crate) fn set(&self, cluster: Cluster) -> bool {
        if self.get().is_some_and(|known| *known == cluster) {
            return false;
        }
        self.known.set(Arc::new(cluster));
        true
    }

    /// Stores that it cannot be read. Returns whether waiting machines are to be told.
    pub(crate) fn fail(&self, error: &Error) -> bool {
        let before = self.unknown();
        *self.unknown.locked() = error.needs_person().then(|| Chain(error).to_string());
        before != self.unknown()
    }
}

/// Updates the information forever; calls `wake` when waiting machines may continue, or have to report why they
/// do not.
pub(crate) async fn follow(source: Source, cluster: &JoinedCluster, wake: impl Fn()) {
    let mut told = None;
    loop {
        let wait = match source.read().await {
            Ok(read) => {
                let news = read.clone();
                if cluster.set(read) {
                    let Cluster { apiserver_url: url, version, dns, .. } = news;
                    tracing::info!(
                        url,
                        version,
                        dns,
                        "loaded the cluster information for joining machines"
                    );
                    wake();
                }
                told = None;
                PERIOD
            }
            Err(error) => {
                if cluster.fail(&error) {
                    wake();
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_cluster_is_not_known_is_told_where_a_person_has_to_do_something_and_once() {
        let cluster = JoinedCluster::default();
        let late = || Error::Api("the version", "nobody answers".into());
        assert!(!cluster.fail(&late()) && cluster.unknown().is_none(), "this passes");
        assert!(cluster.fail(&Error::Missing("set --apiserver-url")));
        assert!(!cluster.fail(&Error::Missing("set --apiserver-url")));
        assert_eq!(cluster.unknown().as_deref(), Some("set --apiserver-url"));
        assert!(cluster.set(Cluster::default()) && !cluster.set(Cluster::default()));
        assert_eq!(cluster.unknown(), None);
        assert!(!cluster.fail(&Error::Missing("set --apiserver-url")), "what was known stays");
        assert_eq!(cluster.get(), Some(Arc::new(Cluster::default())));
    }
}
