//! `site deploy-pxe`

use super::{Applying, name};
use crate::{
    Outcome,
    apply::apply,
    connection::Connection,
    image::reference,
    manifest::{self, IMAGE},
    output::{DryRun, DryRunArgs, objects, warn},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, api::ListParams};
use metal_machine::site;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Bytes of the name of an interface, without the final zero (`IFNAMSIZ`).
const INTERFACE: usize = 15;

/// Which metalman to install.
#[derive(Debug, Args)]
pub(crate) struct DeployPxe {
    /// Name of the site
    #[arg(long, value_parser = name, value_name = "NAME")]
    site: String,
    /// Image of metalman
    #[arg(long, default_value = IMAGE, value_parser = reference, value_name = "IMAGE")]
    image: String,
    /// Interface of the nodes where machines are answered by DHCP [default: that of the node's address]
    #[arg(long, value_parser = interface, value_name = "NAME")]
    interface: Option<String>,
    /// How objects are applied and printed.
    #[command(flatten)]
    applying: Applying,
}

impl DeployPxe {
    /// Installs the metalman of a site.
    ///
    /// # Errors
    ///
    /// If the cluster is not prepared, or refuses it.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let Applying { dry_run: DryRunArgs { dry_run }, output } = self.applying;
        let deployment = self.deployment()?;
        let applied = if dry_run == DryRun::Client {
            deployment
        } else {
            let client = connection.client().await?;
            is_prepared(&client, &deployment, &self.site).await?;
            let applied = apply(&client, &deployment, dry_run).await?;
            warn_without_nodes(&client, &self.site).await;
            applied
        };
        objects(&[applied], output, &format!("applied{}", dry_run.note()))?;
        Ok(Outcome::Done)
    }

    fn deployment(&self) -> Result<Value> {
        let interface = self.interface.as_ref();
        let dhcp = interface.map_or_else(
            || "--dhcp-auto-interface".to_owned(),
            |interface| format!("--dhcp-interface={interface}"),
        );
        manifest::pxe(&self.site, &dhcp, &self.image)
    }
}

/// Looks for what `site init` installs: without it the Deployment is taken, and no pod starts.
async fn is_prepared(client: &Client, deployment: &Value, site: &str) -> Result<()> {
    let namespace = deployment["metadata"]["namespace"].as_str().unwrap_or_default();
    let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
    let account = account.as_str().unwrap_or_default();
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
    let found = timeout(REQUEST, accounts.get_opt(account)).await;
    match found.context("the API server does not answer")? {
        Ok(Some(_)) => Ok(()),
        Ok(None) => bail!(
            "the ServiceAccount {namespace}/{account} is missing: run kubectl metal site init {site} first"
        ),
        // Whoever may not look may still be allowed to apply.
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Says so if no Node may run it.
async fn warn_without_nodes(client: &Client, site: &str) {
    let nodes = Api::<Node>::all(client.clone());
    let params = ListParams::default().labels(&site::selector(Some(site))).limit(1);
    let Ok(Ok(found)) = timeout(REQUEST, nodes.list(&params)).await else { return };
    if found.items.is_empty() {
        let label = format!("{}={site}", site::LABEL);
        warn(&format!(
            "no node has the label {label}: its pod waits for kubectl label node NODE {label}"
        ));
    }
}

/// Parses the name of a network interface.
fn interface(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty()
        && text.len() <= INTERFACE
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_graphic() && c != '/');
    let wrong = || format!("write the name of an interface, up to {INTERFACE} characters, as eth1");
    if is_name { Ok(text.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_has_a_name_that_linux_takes() {
        for good in ["eth1", "bond0.100", "enp0s31f6"] {
            assert_eq!(interface(good).as_deref(), Ok(good));
        }
        for bad in ["", "a/b", "a b", "a\n", "abcdefghijklmnop", "-x"] {
            assert!(interface(bad).is_err(), "{bad}");
        }
    }
}
