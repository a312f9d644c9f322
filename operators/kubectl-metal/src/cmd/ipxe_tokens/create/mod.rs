//! `ipxe-tokens create`, and `hosts ipxe create`.

mod kept;

use super::{binding::BindingArgs, disk::DiskArgs, installer::InstallerArgs, of_host, open};
use crate::{
    Outcome,
    cmd::names,
    connection::Connection,
    failure,
    image::RegistryArgs,
    merge::merge_spec,
    operations::REQUEST,
    output::{DryRun, DryRunArgs, print, warn},
};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kept::all_kept;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PatchParams, PostParams, Preconditions},
};
use metal_api::{BootPullSecret, BootToken, BootTokenSpec, Host};
use metal_base::{base_url, duration, hex};
use metal_core::{
    boot_token::{expiry, installer::is_word, script::entry, secret},
    pull_secret::is_name,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use std::{ops::RangeInclusive, time::Duration};
use tokio::time::timeout;

/// A token, and how its URL is printed.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Organization, a namespace; or with the name of the host [default: a new name]
    #[arg(value_parser = names::org_or_host, value_name = "ORG[/HOST]")]
    target: String,
    #[command(flatten)]
    install: InstallArgs,
    /// Print a whole iPXE script instead of the URL
    #[arg(long)]
    script: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
}

/// What becomes of the machine that boots with it.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// Bootable container image to install, by its digest or by a tag, in place of which its digest is kept
    #[arg(long, env = "BLOOMERY_HOSTS_IMAGE", value_name = "IMAGE")]
    image: String,
    /// Where machines reach the server: https:// and its name
    #[arg(long, env = "BLOOMERY_HOSTS_URL", value_name = "URL")]
    server: String,
    /// How long the token is good: 5m to 168h
    #[arg(long, default_value = "24h", value_parser = ttl, value_name = "TIME")]
    ttl: String,
    /// Kickstart template [default: default]
    #[arg(long, value_parser = names::label, value_name = "NAME")]
    template: Option<String>,
    /// Secret of the organization with logins for the registries of the images, which hosts may read by a Role; may
    /// be repeated
    #[arg(long = "pull-secret", value_parser = secret_name, value_name = "NAME")]
    pull_secrets: Vec<String>,
    #[command(flatten)]
    installer: InstallerArgs,
    #[command(flatten)]
    disk: DiskArgs,
    #[command(flatten)]
    binding: BindingArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl Create {
    /// Prints the URL, or a script that leads to it.
    ///
    /// # Errors
    ///
    /// If the API server refuses it, or there is no randomness.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let (org, host) = self.names()?;
        let url = self.install.make(connection, (&org, &host), self.dry_run.dry_run).await?;
        // That of a token which is not there leads nowhere.
        let Some(url) = url else { return Ok(Outcome::Done) };
        print(&if self.script { entry(&url)? } else { format!("{url}\n") })?;
        Ok(Outcome::Done)
    }

    /// Organization, and name of the host. A name that nobody gave says nothing of the secret.
    fn names(&self) -> Result<(String, String)> {
        if self.target.contains('/') {
            let (org, host) = names::host(&self.target)?;
            return Ok((org.to_owned(), host.to_owned()));
        }
        Ok((names::parse(&self.target)?.to_owned(), format!("host-{}", suffix()?)))
    }
}

/// What makes a name another one.
fn suffix() -> Result<String> {
    let mut random = [0; 4];
    SystemRandom::new().fill(&mut random).map_err(|_| anyhow!("no randomness"))?;
    Ok(hex(&random))
}

impl InstallArgs {
    /// Makes a secret, has its hash kept, and returns the URL, if there is a token then. The secret is nowhere
    /// else.
    ///
    /// # Errors
    ///
    /// If the API server refuses it, or there is no randomness.
    pub(crate) async fn make(
        &self,
        connection: &Connection,
        (org, host): (&str, &str),
        dry_run: DryRun,
    ) -> Result<Option<String>> {
        let server = self.server()?;
        let spec = self.spec(host).await?;
        let client = connection.client().await?;
        doubts(&client, org, host).await.iter().for_each(|doubt| warn(doubt));
        let api = Api::<BootToken>::namespaced(client, org);
        let text = secret::text(org, &random()?);
        let token_sha256 = secret::place(&text).context("no secret")?.hash;
        // A host may get another one while the first is still kept, though it is over.
        let name = format!("{host}-{}", suffix()?);
        let token = BootToken::new(&name, BootTokenSpec { token_sha256, ..spec });
        let what = || format!("BootToken {org}/{name}");
        match dry_run {
            DryRun::None => open_token(&api, &token).await.with_context(what)?,
            DryRun::Client => {}
            DryRun::Server => {
                let would = api.create(&dry_run.post(), &token).await.with_context(what)?;
                all_kept(&token, &would).with_context(what)?;
            }
        }
        let is_there = dry_run == DryRun::None;
        let said = if is_there { "; its URL is not shown again" } else { dry_run.note() };
        warn(&format!("boottoken.bloomery.dev/{name} created{said}"));
        Ok(is_there.then(|| format!("{server}/api/ipxe/{text}")))
    }

    /// What the URLs of tokens begin with.
    fn server(&self) -> Result<&str> {
        let server = base_url(&self.server).filter(|url| is_word(url));
        server.context("--server: give a URL like https://hosts.example.org")
    }

    /// What the token is for, but for its secret.
    async fn spec(&self, host: &str) -> Result<BootTokenSpec> {
        let (target_disk, binding) = (self.disk.disk()?, self.binding.binding()?);
        ensure!(self.pull_secrets.len() <= SECRETS, "--pull-secret: give {SECRETS} at most");
        let named = self.pull_secrets.iter().map(|name| BootPullSecret { name: name.clone() });
        let image = self.registry.pin("--image", &self.image).await?;
        self.registry.look_for("--image", &image).await?;
        Ok(BootTokenSpec {
            host_name: host.to_owned(),
            ttl: self.ttl.clone(),
            image: image.to_string(),
            image_pull_secrets: named.collect(),
            installer: self.installer.installer(&self.registry).await?,
            template: self.template.clone(),
            target_disk,
            binding,
            ..BootTokenSpec::default()
        })
    }
}

/// Shortest and longest time of a token.
const TTL: RangeInclusive<Duration> = Duration::from_mins(5)..=Duration::from_hours(168);

fn ttl(text: &str) -> Result<String, String> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "hms".contains(c));
    let time = duration::parse(text).ok().filter(|time| is_plain && TTL.contains(time));
    let wrong = || "write 5m to 168h, in hours, minutes and seconds, as 1h30m".to_owned();
    time.map(|_| text.to_owned()).ok_or_else(wrong)
}

/// How many Secrets a token may name.
const SECRETS: usize = 4;

fn secret_name(text: &str) -> Result<String, String> {
    let wrong = || "write the name of a Secret, without its namespace".to_owned();
    if is_name(text) { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// What is written of the spec once it is known when the token was created.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    not_after: Option<Time>,
}

/// Creates a token that ends when it does also if it is restored from a backup, by the clock of the cluster. If
/// that fails, none is left: nobody would have its URL.
async fn open_token(api: &Api<BootToken>, token: &BootToken) -> Result<()> {
    let created = api.create(&PostParams::default(), token).await?;
    let Err(error) = finish(api, token, &created).await else { return Ok(()) };
    match remove(api, &created).await {
        Ok(()) => Err(error),
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(error),
        Err(left) => {
            let left = failure::chain(&left.into());
            let left = format!("it is open, and nobody has its URL: delete it ({left})");
            Err(error.context(left))
        }
    }
}

/// Writes when a token ends, if it was created as it was meant.
async fn finish(api: &Api<BootToken>, meant: &BootToken, created: &BootToken) -> Result<()> {
    all_kept(meant, created)?;
    let end = Expiry { not_after: expiry(created).map(Time) };
    let patched = merge_spec(api, &created.name_any(), &PatchParams::default(), &end).await;
    patched.map(drop).context("spec.notAfter was not written")
}

/// Removes this very token.
async fn remove(api: &Api<BootToken>, token: &BootToken) -> Result<(), kube::Error> {
    let preconditions = Preconditions { uid: token.uid(), resource_version: None };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    api.delete(&token.name_any(), &params).await.map(drop)
}

/// Why the machine may not become its host. Of two machines with a token each for one host, the second clears its
/// disk, and can never register; and none is installed while its host is there.
async fn doubts(client: &Client, org: &str, host: &str) -> Vec<String> {
    let mut doubts = vec![];
    match open(client, org).await {
        Ok((open, _)) => {
            let others = of_host(open, org, host).unwrap_or_default();
            let names = others.iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(", ");
            doubts.extend((!names.is_empty()).then(|| {
                format!(
                    "host {host} has open tokens already, and only one machine can become it: {names}"
                )
            }));
        }
        Err(error) => {
            let why = failure::chain(&error);
            doubts.push(format!("whether others are open is not known: {why}"));
        }
    }
    let hosts = Api::<Host>::namespaced(client.clone(), org);
    // Who may not read it learns it from the condition Usable.
    if let Ok(Ok(Some(_))) = timeout(REQUEST, hosts.get_opt(host)).await {
        doubts.push(format!(
            "host {host} exists, and no other machine is installed for its name before it is deleted: kubectl metal \
             hosts delete {org}/{host}"
        ));
    }
    doubts
}

fn random() -> Result<[u8; secret::BYTES]> {
    let mut random = [0; secret::BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| anyhow!("no randomness"))?;
    Ok(random)
}

#[cfg(test)]
mod tests;
