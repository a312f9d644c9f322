//! `releases`

use crate::{
    Outcome,
    args::Connection,
    cmd::{hosts, names},
    output::{Format, objects, print},
    seal::seal,
};
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use metal_api::{Host, HostRelease, HostReleaseSpec};
use metal_core::rented_host::PublicKey;
use std::path::PathBuf;

/// The largest configuration, in bytes: encrypted and in base64 it fits into the object.
const LARGEST: usize = 384 << 10;

/// What to do about releases.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Make a release of an image with the configuration of one host, which alone can decrypt it
    Create(Create),
    /// List the releases of a host
    List {
        /// The host
        #[arg(value_name = "ORG/HOST")]
        host: String,
        /// How they are printed
        #[arg(long, short, value_enum)]
        output: Option<Format>,
    },
}

/// Which release.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The release
    #[arg(value_name = "ORG/HOST:TAG")]
    release: String,
    /// Bootable container image, with its digest
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Configuration of the host; encrypted here, so that the cluster never sees it
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Have the host run it
    #[arg(long)]
    activate: bool,
}

/// Does it.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn run(command: ReleaseCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        ReleaseCommand::Create(create) => create.run(connection).await,
        ReleaseCommand::List { host, output } => list(connection, &host, output).await,
    }
}

impl Create {
    async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let (org, host, name) = names::release(&self.release)?;
        let client = connection.client().await?;
        let configuration = match &self.config_file {
            None => None,
            Some(file) => {
                let file = file.display().to_string();
                let plain = std::fs::read(&file).with_context(|| file.clone())?;
                ensure!(plain.len() <= LARGEST, "{file}: more than {LARGEST} bytes");
                let found = Api::<Host>::namespaced(client.clone(), org).get(host).await;
                let found = found.with_context(|| format!("Host {org}/{host}"))?;
                let key = PublicKey::parse(&found.spec.public_key).context("spec.publicKey")?;
                Some(seal(&key, &format!("{org}/{host}"), &plain)?)
            }
        };
        let (host_name, image) = (host.to_owned(), self.image.clone());
        let release = HostRelease::new(&name, HostReleaseSpec { host_name, image, configuration });
        let api = Api::namespaced(client.clone(), org);
        let created = api.create(&PostParams::default(), &release).await;
        created.with_context(|| format!("HostRelease {org}/{name}"))?;
        print(&format!("hostrelease.bloomery.dev/{name} created\n"))?;
        if self.activate {
            hosts::activate(client, org, host, &name).await?;
            print(&format!("host.bloomery.dev/{host} is to run {name}\n"))?;
        }
        Ok(Outcome::Done)
    }
}

async fn list(connection: &Connection, text: &str, output: Option<Format>) -> Result<Outcome> {
    let (org, host) = names::host(text)?;
    let api = Api::<HostRelease>::namespaced(connection.client().await?, org);
    let all = api.list(&ListParams::default()).await.context("HostReleases")?;
    let ours = all.items.into_iter().filter(|release| release.spec.host_name == host);
    let ours: Vec<_> = ours.collect();
    if output.is_some() {
        let ours: Vec<_> = ours.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
        objects(&ours, output, "")?;
        return Ok(Outcome::Done);
    }
    for release in ours {
        let sealed = if release.spec.configuration.is_some() { "configured" } else { "-" };
        print(&format!("{} {} {sealed}\n", release.name_any(), release.spec.image))?;
    }
    Ok(Outcome::Done)
}
