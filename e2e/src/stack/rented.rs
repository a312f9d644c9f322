//! Rented servers: the server for them as a process, under the rights of its overlay, and what iPXE, the
//! installer and the agent of a machine ask for.

use super::{Overlay, ReservedAddress};
use crate::cluster::{Cluster, Process, eventually, is_ready, unique};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use metal_rented::{
    PublicKey,
    signed::{HOST, NONCE, SIGNATURE, Signed, path},
};
use reqwest::{Method, StatusCode, redirect};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_mins(2);
/// How long a server may take to see a token of which another one has told.
const SEEN: Duration = Duration::from_secs(10);
/// Where hosts is, according to its overlay.
const NAMESPACE: &str = "bloomery-hosts";

/// A server for rented servers.
#[derive(Debug)]
pub struct Hosts {
    /// Where machines reach it.
    pub address: SocketAddr,
    /// Where it reports its health.
    pub health: SocketAddr,
    process: Process,
}

impl Hosts {
    /// Installs the overlay, and starts the server from this binary under its ServiceAccount; waits
    /// until it answers.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start(cluster: &Cluster, binary: &Path) -> Result<Self> {
        Self::start_with_metrics(cluster, binary, "0").await
    }

    /// The same, with metrics at this address.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start_with_metrics(
        cluster: &Cluster,
        binary: &Path,
        metrics: &str,
    ) -> Result<Self> {
        metal_runtime::client::install_crypto_provider();
        Overlay::install("hosts", cluster).await?;
        let account = cluster.service_account_kubeconfig(NAMESPACE, "hosts").await?;
        let place = ReservedAddress::reserve(&[])?;
        let (address, health) = (place.spare()?, place.spare()?);
        let name = unique("hosts");
        let mut command = Command::new(binary);
        command.arg(format!("--kubeconfig={}", account.display())).stdin(Stdio::null());
        command.arg(format!("--service-url=http://{address}")).env_remove("POD_NAME");
        command.arg(format!("--http-server-address={address}")).arg("--leader-elect");
        command.arg(format!("--leader-elect-identity={name}"));
        command.arg(format!("--health-probe-bind-address={health}"));
        command.arg(format!("--metrics-bind-address={metrics}"));
        command.args([
            "--installer-kernel-url=http://mirror.example.org/vmlinuz",
            "--installer-initrd-url=http://mirror.example.org/initrd.img",
            "--installer-stage2-url=http://mirror.example.org/os/",
        ]);
        let process = Process::start(&mut command, cluster.scratch().join(format!("{name}.log")))?;
        let mut it = Self { address, health, process };
        let ready = eventually(PATIENCE, async || {
            is_ready(health).await?;
            let nonce = format!("http://{address}{}", path::NONCE);
            ensure!(reqwest::get(nonce).await?.status().is_success(), "it has no key yet");
            Ok(())
        });
        let ready = ready.await;
        it.process.check()?;
        ready.map(|()| it)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// A machine with its key.
#[derive(Debug)]
pub struct Machine {
    http: reqwest::Client,
    key: EcdsaKeyPair,
    random: SystemRandom,
}

/// Where a boot finds what it installs with, or, of a first script, its second one.
#[derive(Clone, Debug)]
pub struct Boot(pub String);

impl Boot {
    /// Where a script leads.
    ///
    /// # Errors
    ///
    /// If it leads nowhere.
    pub fn of(script: &str) -> Result<Self> {
        let base = script.lines().find_map(|line| line.strip_prefix("set base "));
        Ok(Self(base.with_context(|| script.to_owned())?.to_owned()))
    }
}

/// What a machine says about itself as it boots.
const SAID: &str = "uuid=&serial=SN-1&mac=02:00:00:00:00:01&mac=";

impl Machine {
    /// A machine with a new key.
    ///
    /// # Errors
    ///
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random);
        let key = key.ok().context("no key")?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random);
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
        Ok(Self { http, key: key.ok().context("no key")?, random })
    }

    /// Its public key, as PEM.
    pub fn public_key(&self) -> String {
        let key = PublicKey::of_point(self.key.public_key().as_ref());
        key.map(|key| key.pem()).unwrap_or_default()
    }

    /// Gets a URL: the status, and the text.
    ///
    /// # Errors
    ///
    /// If it is not answered.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, String)> {
        let answer = self.http.get(url).timeout(PATIENCE).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Gets the first script; returns where it asks for the second one.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn first(&self, url: &str) -> Result<Boot> {
        Boot::of(&self.get(url).await?.1)
    }

    /// Runs both scripts; returns where the boot is.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn boot(&self, url: &str) -> Result<Boot> {
        self.boot_as(url, SAID).await
    }

    /// The same for a machine that says this about itself, as a query.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn boot_as(&self, url: &str, said: &str) -> Result<Boot> {
        self.second(&self.first(url).await?, said).await
    }

    async fn second(&self, first: &Boot, said: &str) -> Result<Boot> {
        Boot::of(&self.get(&format!("{}/boot?{said}", first.0)).await?.1)
    }

    /// Reports as the installer does.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn report(&self, boot: &Boot, step: &str) -> Result<StatusCode> {
        let url = format!("{}/progress", boot.0);
        let body = json!({ "step": step, "message": "" }).to_string();
        Ok(self.http.post(url).body(body).timeout(PATIENCE).send().await?.status())
    }

    /// Installs from this URL, as soon as its server has seen the token; returns what the installed system
    /// finds.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn install(&self, url: &str) -> Result<Value> {
        let first = eventually(SEEN, async || self.first(url).await).await?;
        self.installed(&self.second(&first, SAID).await?).await
    }

    /// Installs in this boot; returns what the installed system finds.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn installed(&self, boot: &Boot) -> Result<Value> {
        let (status, text) = self.get(&format!("{}/credential", boot.0)).await?;
        ensure!(status.is_success(), "{text}");
        let status = self.report(boot, "Done").await?;
        ensure!(status.is_success(), "{status}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Registers with what the installer has left.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn register(&self, installed: &Value) -> Result<(StatusCode, String)> {
        let body = json!({
            "credential": installed["credential"],
            "publicKey": self.public_key(),
            "hardware": { "serial": "SN-1", "macAddresses": ["02:00:00:00:00:01"] },
        });
        let server = installed["server"].as_str().context("no server")?;
        self.tell(server, path::REGISTER, "", &body.to_string()).await
    }

    /// Asks as this host, which signs it.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn ask(
        &self,
        server: &str,
        target: &str,
        host: &str,
    ) -> Result<(StatusCode, String)> {
        self.send(server, Signed { method: "GET", target, nonce: "", host, body: b"" }).await
    }

    /// Tells something as this host, which signs it.
    ///
    /// # Errors
    ///
    /// If it is not answered as a machine needs it.
    pub async fn tell(
        &self,
        server: &str,
        target: &str,
        host: &str,
        body: &str,
    ) -> Result<(StatusCode, String)> {
        let body = body.as_bytes();
        self.send(server, Signed { method: "POST", target, nonce: "", host, body }).await
    }

    /// Signs it with a nonce of the server.
    async fn send(&self, server: &str, request: Signed<'_>) -> Result<(StatusCode, String)> {
        let (status, nonce) = self.get(&format!("{server}{}", path::NONCE)).await?;
        ensure!(status.is_success(), "{nonce}");
        let nonce: Value = serde_json::from_str(&nonce)?;
        let signed = Signed { nonce: nonce["nonce"].as_str().context("no nonce")?, ..request };
        let signature = self.key.sign(&self.random, &signed.message()).ok().context("no key")?;
        let answer = self
            .http
            .request(
                Method::from_bytes(signed.method.as_bytes())?,
                format!("{server}{}", signed.target),
            )
            .header(NONCE, signed.nonce)
            .header(SIGNATURE, STANDARD.encode(signature))
            .header(HOST, signed.host)
            .body(signed.body.to_owned())
            .timeout(PATIENCE);
        let answer = answer.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}
