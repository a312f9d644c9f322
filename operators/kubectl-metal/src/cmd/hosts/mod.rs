//! `hosts`

mod ipxe;

use crate::{
    Outcome,
    cmd::{lists::all, names},
    connection::Connection,
    merge::merge_spec,
    output::{DryRun, DryRunArgs, Format, listed, print, shown, table, warn},
    seal::seal,
};
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, ResourceExt};
use metal_api::{Host, HostRelease, HostSpec, condition};
use metal_core::rented_host::PublicKey;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What to do about rented servers.
#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// List the hosts of an organization, or of all
    List {
        /// Organization: a namespace
        #[arg(long, value_parser = names::label, value_name = "ORG")]
        org: Option<String>,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Show a host
    Get {
        /// The host
        #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
        host: String,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Register a host by hand, with its public key
    Create {
        /// The host
        #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
        host: String,
        /// Its public key, of P-256, as PEM
        #[arg(long, value_name = "FILE")]
        public_key_file: PathBuf,
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Remove the record of a host: the machine keeps running
    Delete {
        /// The host
        #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
        host: String,
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Have a host run a release, a later one or an earlier one
    Activate {
        /// The release
        #[arg(value_parser = names::release_of_host, value_name = "ORG/HOST:TAG")]
        release: String,
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Make, list and withdraw iPXE scripts that make servers hosts
    #[command(subcommand)]
    Ipxe(ipxe::IpxeCommand),
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
            match output {
                Some(_) => shown(&[found], output, "")?,
                None => print(&described(&found))?,
            }
            Ok(Outcome::Done)
        }
        HostCommand::Create { host, public_key_file, dry_run: DryRunArgs { dry_run }, output } => {
            let created = create(client, &host, &public_key_file, dry_run).await?;
            done(created, output, &format!("created{}", dry_run.note()))
        }
        HostCommand::Delete { host, dry_run: DryRunArgs { dry_run }, output } => {
            let (org, name) = names::host(&host)?;
            let api = api(client, org);
            let found = api.get(name).await.with_context(|| format!("Host {host}"))?;
            if dry_run != DryRun::Client {
                let deleted = api.delete(name, &dry_run.delete()).await;
                deleted.with_context(|| format!("Host {host}"))?;
            }
            if dry_run == DryRun::None {
                warn("the machine keeps running: wipe it and give it back at your provider");
            }
            done(found, output, &format!("deleted{}", dry_run.note()))
        }
        HostCommand::Activate { release, dry_run: DryRunArgs { dry_run }, output } => {
            let (org, host, release) = names::release(&release)?;
            let releases = Api::<HostRelease>::namespaced(client.clone(), org);
            let found = releases.get(&release).await;
            let found = found.with_context(|| format!("HostRelease {org}/{release}"))?;
            is_of(&found, host)?;
            let host = activate(client, (org, host), &release, dry_run).await?;
            done(host, output, &format!("is to run {release}{}", dry_run.note()))
        }
        HostCommand::Ipxe(command) => ipxe::run(command, connection).await,
    }
}

/// Registers a host with the key in a file; returns it as it is then, or would be.
async fn create(
    client: Client,
    host: &str,
    public_key_file: &Path,
    dry_run: DryRun,
) -> Result<Host> {
    let (org, name) = names::host(host)?;
    let file = public_key_file.display().to_string();
    let text = std::fs::read_to_string(public_key_file).with_context(|| file.clone())?;
    let key = PublicKey::parse(&text).with_context(|| file.clone())?;
    // Fails for a point that is not on the curve: that is nobody's key.
    seal(&key, host, b"").context(file)?;
    let public_key = key.pem();
    let mut new = Host::new(name, HostSpec { public_key, active_release: None });
    new.metadata.namespace = Some(org.to_owned());
    if dry_run == DryRun::Client {
        return Ok(new);
    }
    let created = api(client, org).create(&dry_run.post(), &new).await;
    created.with_context(|| format!("Host {host}"))
}

/// Two hosts and tags may make one name: `web-1:v1` and `web:1-v1`.
///
/// # Errors
///
/// If a release is for another host.
fn is_of(release: &HostRelease, host: &str) -> Result<()> {
    let of = &release.spec.host_name;
    ensure!(of == host, "HostRelease {} is for host {of}, not for {host}", release.name_any());
    Ok(())
}

/// What is written of the spec of a Host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveRelease<'a> {
    active_release: &'a str,
}

/// Has a host run a release; returns the Host as it is then, or would be.
///
/// # Errors
///
/// If there is no such host.
pub(crate) async fn activate(
    client: Client,
    (org, host): (&str, &str),
    release: &str,
    dry_run: DryRun,
) -> Result<Host> {
    let hosts = api(client, org);
    let what = || format!("Host {org}/{host}");
    if dry_run == DryRun::Client {
        let mut found = hosts.get(host).await.with_context(what)?;
        found.spec.active_release = Some(release.to_owned());
        return Ok(found);
    }
    let active = ActiveRelease { active_release: release };
    merge_spec(&hosts, host, &dry_run.patch(), &active).await.with_context(what)
}

fn api(client: Client, org: &str) -> Api<Host> {
    Api::namespaced(client, org)
}

async fn list(client: Client, org: Option<&str>, output: Option<Format>) -> Result<Outcome> {
    let api = match org {
        Some(org) => api(client, names::parse(org)?),
        None => Api::all(client),
    };
    let all = all(&api).await?;
    if let Some(format) = output {
        listed(&all, format)?;
        return Ok(Outcome::Done);
    }
    let none =
        org.map_or_else(|| "there is no host".to_owned(), |org| format!("no host is in {org}"));
    lines(&all, &none)
}

fn lines(all: &[Host], none: &str) -> Result<Outcome> {
    let row = |host: &Host| {
        let org = host.namespace().unwrap_or_default();
        let status = host.status.clone().unwrap_or_default();
        let release = text(host.spec.active_release.as_ref());
        let running = text(status.running_release.as_ref());
        [format!("{org}/{}", host.name_any()), release, running, time(status.last_seen.as_ref())]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table(["HOST", "RELEASE", "RUNNING", "SEEN"], &rows, none)?;
    Ok(Outcome::Done)
}

fn text(text: Option<&String>) -> String {
    text.map_or("-", String::as_str).to_owned()
}

fn time(time: Option<&Time>) -> String {
    time.map_or_else(|| "-".to_owned(), |at| at.0.to_string())
}

/// All that a person wants to know of a host, one line each.
fn described(host: &Host) -> String {
    let status = host.status.clone().unwrap_or_default();
    let hardware = status.hardware.clone().unwrap_or_default();
    let active = status.conditions.iter().find(|it| it.type_ == condition::RELEASE_ACTIVE);
    let said = active.map(|it| format!("{}: {}", it.reason, it.message));
    let lines = [
        ("Host", format!("{}/{}", host.namespace().unwrap_or_default(), host.name_any())),
        ("Created", time(host.metadata.creation_timestamp.as_ref())),
        ("Release", text(host.spec.active_release.as_ref())),
        ("Running", text(status.running_release.as_ref())),
        ("Image", text(status.running_image.as_ref())),
        ("Says", text(said.as_ref())),
        ("Previous", text(status.previous_release.as_ref())),
        ("Seen", time(status.last_seen.as_ref())),
        ("Address", text(status.address.as_ref())),
        ("Serial", text(hardware.serial.as_ref())),
    ];
    let lines = lines.iter().map(|(name, value)| format!("{:<10}{value}", format!("{name}:")));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn done(host: Host, output: Option<Format>, what: &str) -> Result<Outcome> {
    shown(&[host], output, what)?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{HostReleaseSpec, HostStatus};
    use metal_runtime::testing::ApiServer;
    use ring::{
        agreement::{ECDH_P256, EphemeralPrivateKey},
        rand::SystemRandom,
    };

    #[tokio::test]
    async fn a_host_has_a_key_whose_point_is_on_the_curve() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        let created = async |key: &PublicKey| {
            std::fs::write(&file, key.pem()).unwrap();
            let client = ApiServer::default().client("org");
            create(client, "org/web-1", &file, DryRun::Client).await
        };
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let key = PublicKey::of_point(private.compute_public_key().unwrap().as_ref()).unwrap();
        assert_eq!(created(&key).await.unwrap().spec.public_key, key.pem());
        let nowhere = PublicKey::of_point(&[4; 65]).unwrap();
        let error = format!("{:#}", created(&nowhere).await.unwrap_err());
        assert!(error.contains("key.pem") && error.contains("cannot be used"), "{error}");
    }

    #[test]
    fn what_is_said_of_a_host_has_when_it_was_created_and_what_it_runs() {
        let mut host = Host::new("web-1", HostSpec::default());
        host.metadata.namespace = Some("org".to_owned());
        host.metadata.creation_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        let running_image = Some("quay.io/a/b".to_owned());
        host.status = Some(HostStatus { running_image, ..HostStatus::default() });
        let text = described(&host);
        for line in
            ["Host:     org/web-1", "Created:  2026-01-01T00:00:00Z", "Image:    quay.io/a/b"]
        {
            assert!(text.contains(&format!("{line}\n")), "{text}");
        }
        assert!(text.contains("Release:  -\n"), "{text}");
    }

    #[tokio::test]
    async fn a_dry_run_writes_nothing_and_the_api_server_checks_it_if_asked_to() {
        let server = ApiServer::default();
        let mut host = Host::new("web-1", HostSpec::default());
        host.metadata.namespace = Some("org".to_owned());
        server.put(&host);
        for (dry_run, writes) in
            [(DryRun::Client, None), (DryRun::Server, Some("dryRun=All")), (DryRun::None, Some(""))]
        {
            server.forget();
            let client = server.client("org");
            let host = activate(client, ("org", "web-1"), "web-1-v1", dry_run).await.unwrap();
            assert_eq!(host.spec.active_release.as_deref(), Some("web-1-v1"), "{dry_run:?}");
            let written: Vec<_> = server.written().into_iter().map(|it| it.query).collect();
            let written: Vec<_> = written.iter().map(|it| it.trim_matches('&')).collect();
            assert_eq!(written, Vec::from_iter(writes), "{dry_run:?}");
        }
    }

    #[test]
    fn a_release_of_another_host_with_the_same_name_is_not_activated() {
        let host_name = "web-1".to_owned();
        let release = HostRelease::new(
            "web-1-v1",
            HostReleaseSpec { host_name, ..HostReleaseSpec::default() },
        );
        assert!(is_of(&release, "web-1").is_ok());
        let error = is_of(&release, "web").unwrap_err().to_string();
        assert_eq!(error, "HostRelease web-1-v1 is for host web-1, not for web");
    }
}
