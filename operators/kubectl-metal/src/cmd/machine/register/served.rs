//! Whether a metalman serves the site of a Machine.

use crate::{operations::REQUEST, output::warn};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::ListParams};
use metal_machine::site;
use tokio::time::timeout;

/// Says so if no metalman leads that serves the site: nobody would look at the Machine. Whoever may not list
/// Leases is told nothing.
pub(super) async fn warn_unserved(client: &Client, site: Option<&str>) {
    if let Some(line) = unserved(client, site).await {
        warn(&line);
    }
}

async fn unserved(client: &Client, site: Option<&str>) -> Option<String> {
    let name = site::lease(site);
    let leases = Api::<Lease>::all(client.clone());
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let found = timeout(REQUEST, leases.list(&params)).await.ok()?.ok()?;
    if found.items.iter().any(|lease| is_held(lease, &name)) {
        return None;
    }
    let (whose, how) = match site {
        Some(site) => {
            (format!("the site {site}"), format!("kubectl metal site deploy-pxe --site={site}"))
        }
        None => ("machines without a site".to_owned(), "kubectl metal site serve-pxe".to_owned()),
    };
    let label = site::LABEL;
    Some(format!(
        "no metalman is known to serve {whose} (nobody holds the Lease {name}): install one, as with {how}, or \
         correct the label {label} of the Machine"
    ))
}

/// Whether it is the Lease of this name, and has a holder.
fn is_held(lease: &Lease, name: &str) -> bool {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    lease.metadata.name.as_deref() == Some(name) && holder.is_some_and(|holder| !holder.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn a_site_that_no_metalman_serves_is_told_to_whoever_may_know() {
        let server = ApiServer::default();
        let client = server.client("default");
        server.fail(Some(http::StatusCode::FORBIDDEN));
        assert_eq!(unserved(&client, Some("rack-a")).await, None);
        server.fail(None);
        for (name, holder) in [("metalman-rack-a", "pod"), ("metalman-rack-b", "")] {
            let mut lease = Lease::default();
            lease.metadata.name = Some(name.to_owned());
            lease.metadata.namespace = Some("unbounded-kube".to_owned());
            let holder_identity = Some(holder.to_owned());
            lease.spec = Some(LeaseSpec { holder_identity, ..LeaseSpec::default() });
            server.put(&lease);
        }
        assert_eq!(unserved(&client, Some("rack-a")).await, None);
        let line = unserved(&client, Some("rack-b")).await.unwrap();
        assert!(
            line.contains("the site rack-b") && line.contains("Lease metalman-rack-b"),
            "{line}"
        );
        let line = unserved(&client, None).await.unwrap();
        assert!(line.contains("machines without a site"), "{line}");
    }
}
