//! `site init`

use super::{Applying, name};
use crate::{
    MANAGER, Outcome,
    apply::apply,
    cmd::names,
    connection::Connection,
    manifest,
    output::{self, DryRun, DryRunArgs, objects, warn},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use k8s_openapi::{
    api::core::v1::Node,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Crd,
};
use kube::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{Patch, PatchParams},
};
use metal_api::Machine;
use metal_machine::site::LABEL;
use metal_runtime::MetadataChange;
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the API server may take until it serves a new resource.
const SERVED: Duration = Duration::from_mins(1);
/// How soon to look again.
const AGAIN: Duration = Duration::from_millis(200);

/// What is written of a Node.
#[derive(Debug, Serialize)]
struct NodePatch<'a> {
    metadata: MetadataChange<'a>,
}

/// Which site to prepare.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Name of the site
    #[arg(value_parser = name, value_name = "NAME")]
    site: String,
    /// Node that may run the metalman of the site, and is labeled so; may be repeated
    #[arg(long = "node", value_parser = names::node, value_name = "NODE")]
    nodes: Vec<String>,
    /// How objects are applied and printed.
    #[command(flatten)]
    applying: Applying,
}

impl Init {
    /// Installs what all sites share, and labels Nodes.
    ///
    /// # Errors
    ///
    /// The first object that is refused. Those before it are there then.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let Applying { dry_run: DryRunArgs { dry_run }, output } = self.applying;
        let all = manifest::shared()?;
        if dry_run == DryRun::Client {
            objects(&all, output, "applied (dry run)")?;
            return Ok(Outcome::Done);
        }
        let client = connection.client().await?;
        self.look_at_nodes(&client).await?;
        let mut applied = vec![];
        for object in &all {
            let name = output::name(object);
            match apply(&client, object, dry_run).await {
                Ok(done) => applied.push(done),
                Err(error) if dry_run == DryRun::Server && is_missing(&error) => {
                    warn(&format!("{name}: not checked, its namespace is not there yet"));
                }
                Err(error) => return Err(error.context(name)),
            }
        }
        if dry_run == DryRun::None {
            served(&client).await?;
        }
        for node in &self.nodes {
            self.label(&client, node).await.with_context(|| format!("node {node}"))?;
        }
        objects(&applied, output, &format!("applied{}", dry_run.note()))?;
        self.say_what_is_next();
        Ok(Outcome::Done)
    }

    /// Looks at the Nodes that are to be labeled: one that cannot be is reported before anything is installed.
    async fn look_at_nodes(&self, client: &Client) -> Result<()> {
        for node in &self.nodes {
            let looked = self.has_label(client, node).await;
            looked.with_context(|| format!("node {node}"))?;
        }
        Ok(())
    }

    async fn has_label(&self, client: &Client, name: &str) -> Result<bool> {
        let found = Api::<Node>::all(client.clone()).get_opt(name).await?;
        let node = found.context("there is no such Node")?;
        match node.labels().get(LABEL) {
            Some(site) if *site == self.site => Ok(true),
            Some(site) => bail!("it is of the site {site}: take its label {LABEL} away first"),
            None => Ok(false),
        }
    }

    /// Labels a Node. Somebody may have given it to another site while the objects were installed.
    async fn label(&self, client: &Client, name: &str) -> Result<()> {
        if self.has_label(client, name).await? {
            return Ok(());
        }
        let nodes = Api::<Node>::all(client.clone());
        let labels = [(LABEL, Some(self.site.as_str()))].into();
        let label = NodePatch { metadata: MetadataChange { labels, ..MetadataChange::default() } };
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            dry_run: self.applying.dry_run.dry_run == DryRun::Server,
            ..PatchParams::default()
        };
        nodes.patch(name, &params, &Patch::Merge(label)).await?;
        Ok(())
    }

    fn say_what_is_next(&self) {
        let site = &self.site;
        if self.nodes.is_empty() {
            warn(&format!(
                "next, say which nodes may serve the site: kubectl label node NODE {LABEL}={site}"
            ));
        }
        warn(&format!("next: kubectl metal site deploy-pxe --site {site}"));
    }
}

/// Whether something is not there that a write needs: what was applied before is, but for a dry run.
fn is_missing(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<kube::Error>();
    matches!(error, Some(kube::Error::Api(status)) if status.is_not_found())
}

/// Waits until Machines can be created.
async fn served(client: &Client) -> Result<()> {
    let name = Machine::crd().name_any();
    let deadline = Instant::now() + SERVED;
    loop {
        let crd = Api::<Crd>::all(client.clone()).get(&name).await?;
        let conditions = crd.status.into_iter().flat_map(|it| it.conditions.unwrap_or_default());
        if conditions.into_iter().any(|it| it.type_ == "Established" && it.status == "True") {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("the API server does not serve {name} yet: kubectl describe crd {name}");
        }
        sleep(AGAIN).await;
    }
}
