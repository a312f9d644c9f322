//! A server, and the tokens that a person makes for it.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    cluster::{Cluster, Process, binary, eventually, unique},
    stack::{OciRegistry, Overlay, ReservedAddress, sha256},
};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use metal_api::{BootToken, BootTokenPhase, BootTokenSpec, Host};
use metal_runtime::client::install_crypto_provider;
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

pub(crate) const PATIENCE: Duration = Duration::from_mins(5);
const SYSTEM: &str = "bloomery-hosts";

/// A server that runs, and an organization.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) client: Client,
    /// Namespace of the organization.
    pub(crate) org: String,
    pub(crate) address: SocketAddr,
    /// As machines know it.
    url: String,
    health: SocketAddr,
    name: String,
    flags: Vec<String>,
    process: Option<Process>,
}

impl<'a> Site<'a> {
    pub(crate) async fn start(cluster: &'a Cluster) -> Result<Self> {
        Self::start_for(cluster, None).await
    }

    /// Starts a server that serves images of this registry.
    pub(crate) async fn start_with(cluster: &'a Cluster, registry: &OciRegistry) -> Result<Self> {
        let cache = cluster.scratch().join(unique("layers"));
        let flags = [
            format!("--image-cache-dir={}", cache.display()),
            format!("--allowed-registries={}", registry.address()),
        ];
        Self::start_as(cluster, None, flags.to_vec()).await
    }

    /// Starts a server on 127.0.0.1 that machines know by another address.
    pub(crate) async fn start_for(cluster: &'a Cluster, outside: Option<&str>) -> Result<Self> {
        Self::start_as(cluster, outside, vec![]).await
    }

    async fn start_as(
        cluster: &'a Cluster,
        outside: Option<&str>,
        flags: Vec<String>,
    ) -> Result<Self> {
        install_crypto_provider();
        Overlay::install("hosts", cluster).await?;
        let place = match outside {
            Some(_) => ReservedAddress::own(Ipv4Addr::LOCALHOST.into(), &[])?,
            None => ReservedAddress::reserve(&[])?,
        };
        let address = place.spare()?;
        let known = outside.map_or_else(|| address.ip().to_string(), str::to_owned);
        let mut site = Self {
            cluster,
            client: cluster.client().await?,
            org: cluster.namespace().await?,
            address,
            url: format!("http://{known}:{}", address.port()),
            health: place.spare()?,
            name: unique("hosts"),
            flags,
            process: None,
        };
        drop(place);
        site.run().await?;
        Ok(site)
    }

    /// Starts the server, at the same address as before.
    pub(crate) async fn run(&mut self) -> Result<()> {
        let account = self.cluster.service_account_kubeconfig(SYSTEM, "hosts").await?;
        let (address, health) = (self.address, self.health);
        let mut command = Command::new(binary("hosts").await?);
        command.arg(format!("--kubeconfig={}", account.display())).stdin(Stdio::null());
        command.arg(format!("--service-url={}", self.url)).env_remove("POD_NAME");
        command.arg(format!("--http-server-address={address}")).arg("--leader-elect");
        // Its own lease needs not run out after it was killed.
        command.arg(format!("--leader-elect-identity={}", self.name));
        command.arg(format!("--health-probe-bind-address={health}"));
        command.args([
            "--metrics-bind-address=0",
            "--installer-kernel-url=http://mirror.example.org/vmlinuz",
            "--installer-initrd-url=http://mirror.example.org/initrd.img",
            "--installer-stage2-url=http://mirror.example.org/os/",
        ]);
        command.args(&self.flags);
        let log = self.cluster.scratch().join(format!("{}.log", self.name));
        let process = Process::start(&mut command, log)?;
        self.process = Some(process);
        self.ready().await
    }

    /// Waits until machines are answered; which replica leads does not matter to them.
    async fn ready(&mut self) -> Result<()> {
        let (health, address) = (self.health, self.address);
        let process = self.process.as_mut().context("it was not started")?;
        process.ready(health, PATIENCE).await?;
        eventually(PATIENCE, async || {
            let nonce = format!("http://{address}/api/hosts/nonce");
            ensure!(reqwest::get(nonce).await?.status().is_success(), "it has no key yet");
            Ok(())
        })
        .await
    }

    /// Kills the server, as `kill -9` does.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    pub(crate) fn peak_memory(&self) -> Result<u64> {
        self.process.as_ref().map_or(Ok(0), Process::peak_memory)
    }

    /// Ends it, as Kubernetes does; it was refused nothing by the API server.
    pub(crate) async fn end(mut self) -> Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        let printed = process.printed()?;
        ensure!(!printed.contains("orbidden"), "{printed}");
        process.terminate(PATIENCE).await
    }

    pub(crate) fn tokens(&self) -> Api<BootToken> {
        Api::namespaced(self.client.clone(), &self.org)
    }

    pub(crate) fn hosts(&self) -> Api<Host> {
        Api::namespaced(self.client.clone(), &self.org)
    }

    /// Makes a token as the plugin does, and returns the URL; `change` may change what it says.
    pub(crate) async fn token(
        &self,
        host: &str,
        change: impl FnOnce(&mut BootTokenSpec),
    ) -> Result<String> {
        let (secret, hash) = secret(&self.org)?;
        let mut spec = BootTokenSpec {
            token_sha256: hash,
            host_name: host.to_owned(),
            ttl: "1h".to_owned(),
            image: format!("quay.io/example/base@sha256:{}", "a".repeat(64)),
            ..BootTokenSpec::default()
        };
        change(&mut spec);
        let token = BootToken::new(host, spec);
        self.tokens().create(&PostParams::default(), &token).await?;
        self.phase(host, BootTokenPhase::Issued).await?;
        Ok(format!("{}/api/ipxe/{secret}", self.url))
    }

    /// Waits until a token is that far.
    pub(crate) async fn phase(&self, name: &str, phase: BootTokenPhase) -> Result<BootToken> {
        eventually(PATIENCE, async || {
            let token = self.tokens().get(name).await?;
            let found = token.status.as_ref().and_then(|status| status.phase);
            ensure!(found == Some(phase), "{:?}", token.status);
            Ok(token)
        })
        .await
    }

    /// Waits for an event of this reason about an object of this name, whose note has this word.
    pub(crate) async fn event(&self, name: &str, reason: &str, word: &str) -> Result<()> {
        let events = Api::<Event>::namespaced(self.client.clone(), &self.org);
        eventually(PATIENCE, async || {
            let all = events.list(&ListParams::default()).await?.items;
            let notes: Vec<_> = all
                .iter()
                .filter(|event| {
                    event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name)
                        && event.reason.as_deref() == Some(reason)
                })
                .filter_map(|event| event.note.clone())
                .collect();
            ensure!(notes.iter().any(|note| note.contains(word)), "{name}: {reason}: {notes:?}");
            Ok(())
        })
        .await
    }

    /// The Hosts of the organization.
    pub(crate) async fn all(&self) -> Result<Vec<String>> {
        let hosts = self.hosts().list(&ListParams::default()).await?;
        Ok(hosts.iter().map(ResourceExt::name_any).collect())
    }
}

/// A secret of an organization, and its hash.
pub(crate) fn secret(org: &str) -> Result<(String, String)> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let secret = format!("metal_ipxe_{org}.{}", URL_SAFE_NO_PAD.encode(random));
    let hash = sha256(secret.as_bytes());
    Ok((secret, hash))
}
