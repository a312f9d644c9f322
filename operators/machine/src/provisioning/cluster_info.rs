//! The ConfigMap `kube-public/cluster-info`, in which kubeadm and others publish where the cluster is, for
//! machines that join.

use base64::{Engine, engine::general_purpose::STANDARD};
use metal_text::yaml::{self, LeadingZero};
use serde::Deserialize;

/// Where the cluster is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// URL of its API server.
    pub server: String,
    /// Certificates of its authorities, as PEM.
    pub authorities: String,
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: String,
}

/// Parses its key `kubeconfig`.
///
/// # Errors
///
/// Why it is not a kubeconfig with one cluster.
pub fn cluster_info(kubeconfig: &str) -> Result<ClusterInfo, String> {
    let parsed: Kubeconfig = yaml::read(kubeconfig, LeadingZero::Decimal)
        .map_err(|error| format!("not a kubeconfig: {error}"))?;
    let [Named { cluster }] = <[Named; 1]>::try_from(parsed.clusters)
        .map_err(|all| format!("a kubeconfig with one cluster, not {}", all.len()))?;
    let authorities = STANDARD.decode(cluster.certificate_authority_data.trim());
    let authorities = authorities.map_err(|_| "certificate-authority-data is not base64")?;
    let authorities = String::from_utf8(authorities);
    let authorities = authorities.map_err(|_| "certificate-authority-data is not PEM")?;
    Ok(ClusterInfo { server: cluster.server, authorities })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_where_its_only_entry_says() {
        let text = "apiVersion: v1\nkind: Config\nclusters:\n- name: ''\n  cluster:\n    \
                    server: https://192.0.2.1:6443\n    certificate-authority-data: Q0E=\nusers: []\n";
        let expected =
            ClusterInfo { server: "https://192.0.2.1:6443".into(), authorities: "CA".into() };
        assert_eq!(cluster_info(text), Ok(expected));
        for text in ["", "clusters: []", "{", &text.replace("Q0E=", "%")] {
            let error = cluster_info(text).unwrap_err();
            assert!(!error.contains(char::is_control), "{error:?} is not one line");
        }
    }
}
