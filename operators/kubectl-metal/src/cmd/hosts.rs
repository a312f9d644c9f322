//! `hosts`

use crate::{
    Outcome,
    args::Connection,
    cmd::names,
    output::{Format, complain, objects, print},
};
use anyhow::{Context, Result};
use clap::Subcommand;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use metal_api::{Host, HostSpec};
use metal_core::rented_host::PublicKey;
use serde_json::json;
use std::path::PathBuf;

/// What to do about rented servers.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// List the hosts of an organization, or of all
    List {
        /// Organization: a namespace
        #[arg(long, value_name = "ORG")]
        org: Option<String>,
        /// How they are printed
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
    /// Show a host
    Get {
        /// The host
        #[arg(value_name = "ORG/HOST")]
        host: String,
        /// How it is printed
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
    /// Register a host by hand, with its public key
    Create {
        /// The host
        #[arg(value_name = "ORG/HOST")]
        host: String,
        /// Its public key, of P-256, as PEM
        #[arg(long, value_name = "FILE")]
        public_key_file: PathBuf,
    },
    /// Remove the record of a host: the machine keeps running
    Delete {
        /// The host
        #[arg(value_name = "ORG/HOST")]
        host: String,
    },
    /// Have a host run a release, a later one or an earlier one
    Activate {
        /// The release
        #[arg(value_name = "ORG/HOST:TAG")]
        release: String,
    },
}

/// Does it.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn run(command: HostCommand, connection: &Connection) -> Result<Outcome> {
    let client = connection.client().await?;
    match command {
        HostCommand::List { org, output } => list(client, org.as_deref(), output).await,
        HostCommand::Get { host, output } => {
            let (org, name) = names::host(&host)?;
            let found = api(client, org).get(name).await.with_context(|| format!("Host {host}"))?;
            show(&[found], output)
        }
        HostCommand::Create { host, public_key_file } => {
            let (org, name) = names::host(&host)?;
            let file = public_key_file.display().to_string();
            let text = std::fs::read_to_string(&public_key_file).with_context(|| file.clone())?;
            let public_key = PublicKey::parse(&text).context(file)?.pem();
            let new = Host::new(name, HostSpec { public_key, active_release: None });
            let created = api(client, org).create(&PostParams::default(), &new).await;
            created.with_context(|| format!("Host {host}"))?;
            done(name, "created")
        }
        HostCommand::Delete { host } => {
            let (org, name) = names::host(&host)?;
            let deleted = api(client, org).delete(name, &DeleteParams::default()).await;
            deleted.with_context(|| format!("Host {host}"))?;
            complain("the machine keeps running: wipe it and give it back at your provider");
            done(name, "deleted")
        }
        HostCommand::Activate { release } => {
            let (org, host, release) = names::release(&release)?;
            activate(client, org, host, &release).await?;
            done(host, &format!("is to run {release}"))
        }
    }
}

/// Has a host run a release.
///
/// # Errors
///
/// If there is no such host.
pub(crate) async fn activate(client: Client, org: &str, host: &str, release: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "spec": { "activeRelease": release } }));
    let patched = api(client, org).patch(host, &PatchParams::default(), &patch).await;
    patched.with_context(|| format!("Host {org}/{host}")).map(drop)
}

fn api(client: Client, org: &str) -> Api<Host> {
    Api::namespaced(client, org)
}

async fn list(client: Client, org: Option<&str>, output: Option<Format>) -> Result<Outcome> {
    let api = match org {
        Some(org) => api(client, names::parse(org)?),
        None => Api::all(client),
    };
    let all = api.list(&ListParams::default()).await.context("Hosts")?;
    show(&all.items, output)
}

fn show(all: &[Host], output: Option<Format>) -> Result<Outcome> {
    if output.is_some() {
        let all: Vec<_> = all.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        objects(&all, output, "")?;
        return Ok(Outcome::Done);
    }
    for host in all {
        let org = host.namespace().unwrap_or_default();
        let status = host.status.clone().unwrap_or_default();
        let text = |text: Option<&String>| text.map_or("-", String::as_str).to_owned();
        let seen = status.last_seen.map_or_else(|| "-".to_owned(), |at| at.0.to_string());
        let (wanted, running) =
            (text(host.spec.active_release.as_ref()), text(status.running_release.as_ref()));
        print(&format!("{org}/{} {wanted} {running} {seen}\n", host.name_any()))?;
    }
    Ok(Outcome::Done)
}

fn done(name: &str, what: &str) -> Result<Outcome> {
    print(&format!("host.bloomery.dev/{name} {what}\n"))?;
    Ok(Outcome::Done)
}
