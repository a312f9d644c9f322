//! metalman, an API server, and links to machines.
//!
//! ```text
//!   here: API server, metalman ──── near 10.77.1.0/24 ──── machines
//!                              ──── far  10.77.9.0/24 ──── relay ──── behind 10.77.2.0/24 ── machines
//! ```

use crate::{client::Client, inside::Tools};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, eventually},
    namespace::{Links, Network, ip},
    stack::{OciRegistry, Overlay},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachineLease, MachinePxe, MachineSpec};
use metal_image::testing::archive;
use metal_runtime::client::install_crypto_provider;
use serde_json::json;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "unbounded-kube";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const HEALTH: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// All of it.
pub(crate) struct Lab {
    cluster: Cluster,
    tools: Tools,
    links: Links,
    account: PathBuf,
}

impl Lab {
    /// Starts all of it but metalman and the relay.
    pub(crate) async fn start(tools: Tools) -> Result<Self> {
        install_crypto_provider();
        let cluster = Cluster::start().await?;
        cluster.apply(&Overlay::build("metalman").await?.yaml).await?;
        let account = cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller").await?;
        let links = Links::new(&cluster).await?;
        // By which the interface is found that machines are on.
        ip("route add default via 10.77.1.254")?;
        Ok(Self { cluster, tools, links, account })
    }

    /// Starts metalman with these flags, and waits until it is ready.
    pub(crate) async fn metalman(&self, name: &str, flags: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.tools.server);
        command.arg("serve-pxe").args(flags).stdin(Stdio::null()).env_remove("POD_NAME");
        command.arg(format!("--kubeconfig={}", self.account.display()));
        let cache = self.scratch().join(format!("{name}-cache"));
        command.arg(format!("--cache-dir={}", cache.display())).arg("--cluster-dns=10.96.0.10");
        command.arg("--apiserver-url=https://api.example:6443");
        let log = self.cluster.scratch().join(format!("{name}.log"));
        let mut process = Process::start(&mut command, log)?;
        let ready = process.ready(HEALTH, LIMIT).await;
        ready.with_context(|| process.printed().unwrap_or_default())?;
        Ok(process)
    }

    /// Starts the relay.
    pub(crate) fn relay(&self) -> Result<Process> {
        self.links.start_relay(&self.tools.dhcrelay, &self.cluster)
    }

    /// A machine on a link to metalman.
    pub(crate) fn near(&self, mac: &str) -> Result<Client<'_>> {
        self.client(&self.links.near, "near", mac)
    }

    /// A machine behind the relay.
    pub(crate) fn behind(&self, mac: &str) -> Result<Client<'_>> {
        self.client(&self.links.behind, "behind", mac)
    }

    fn client<'a>(
        &self,
        network: &'a Network,
        interface: &'static str,
        mac: &str,
    ) -> Result<Client<'a>> {
        let folder = self.cluster.scratch().join(mac);
        Client::new(&folder, &self.tools.dhclient, network, interface, mac)
    }

    /// The folder of all files of a test.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.cluster.scratch()
    }

    /// Pushes an image with these files below its folder `/disk`.
    pub(crate) async fn push(
        registry: &OciRegistry,
        name: &str,
        files: &[(&str, &[u8])],
    ) -> Result<()> {
        let paths: Vec<String> = files.iter().map(|(path, _)| format!("disk/{path}")).collect();
        let contents = files.iter().map(|(_, content)| *content);
        let files: Vec<_> = paths.iter().map(String::as_str).zip(contents).collect();
        registry.push(name, &[(LAYER, &archive(&files))]).await
    }

    /// What a machine on the link gets for a URL.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Vec<u8>> {
        let mut curl = self.links.near.command(Path::new("curl"));
        let curl = curl.args(["-sS", "--path-as-is", "--max-time", "20", url]).output().await?;
        ensure!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
        Ok(curl.stdout)
    }

    /// Makes a Machine with these interfaces, whose image is nowhere.
    pub(crate) async fn create(&self, name: &str, leases: Vec<MachineLease>) -> Result<()> {
        self.create_with(name, "127.0.0.1:1/image:1", leases).await
    }

    /// Makes a Machine with this image.
    pub(crate) async fn create_with(
        &self,
        name: &str,
        image: &str,
        leases: Vec<MachineLease>,
    ) -> Result<()> {
        let image = image.to_owned();
        let pxe = MachinePxe { image, dhcp_leases: leases, ..MachinePxe::default() };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        self.machines().await?.create(&PostParams::default(), &Machine::new(name, spec)).await?;
        Ok(())
    }

    /// Gives a Machine other leases.
    pub(crate) async fn change(&self, name: &str, leases: &[MachineLease]) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "pxe": { "dhcpLeases": leases } } }));
        self.machines().await?.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Gives a Machine another image.
    pub(crate) async fn name_image(&self, name: &str, image: &str) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "pxe": { "image": image } } }));
        self.machines().await?.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn machines(&self) -> Result<Api<Machine>> {
        Ok(Api::all(self.cluster.client().await?))
    }

    /// Waits until metalman has said `words`.
    pub(crate) async fn says(&self, process: &Process, words: &str) -> Result<()> {
        eventually(LIMIT, async || {
            let printed = process.printed()?;
            ensure!(printed.contains(words), "no `{words}`: {printed}");
            Ok(())
        })
        .await
    }

    /// What dhclient has kept of the leases of a machine.
    pub(crate) fn leases(&self, mac: &str) -> Result<String> {
        Ok(fs::read_to_string(self.cluster.scratch().join(mac).join("leases"))?)
    }
}

/// A lease in a subnet of 24 bits, whose gateway is the first host.
pub(crate) fn lease(mac: &str, address: Ipv4Addr) -> MachineLease {
    let [a, b, c, _] = address.octets();
    MachineLease {
        mac: mac.to_owned(),
        ipv4: address.to_string(),
        subnet_mask: "255.255.255.0".to_owned(),
        gateway: Ipv4Addr::new(a, b, c, 1).to_string(),
        dns: vec!["10.77.1.53".to_owned()],
    }
}
