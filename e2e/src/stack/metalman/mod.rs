//! metalman as a process of a site of its own, under the rights of its overlay, and what a test or a
//! demonstration does to its Machines.

mod image;
mod objects;

pub use image::Image;
pub use objects::{condition, done, has_attested, is_installed, is_ready, pxe, redfish};

use super::{Overlay, ReservedAddress, list, pod_of};
use crate::{
    cluster::{Cluster, Process, binary, eventually, unique},
    kubelet::Kubelet,
};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachinePxe, MachineSpec, MachineStatus};
use metal_runtime::client::install_crypto_provider;
use objects::ACCOUNT;
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_mins(2);
/// Where metalman is, according to its overlay.
const NAMESPACE: &str = "unbounded-kube";
/// Where the passwords of BMCs are.
pub const PASSWORDS: &str = "metalman-bmcs";
/// Label with the site of a Machine.
const SITE: &str = "unbounded-cloud.io/site";

/// What is started.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The file.
    pub binary: &'a Path,
    /// By which it knows the API server, and what it may do there.
    pub kubeconfig: &'a Path,
    /// Flags besides those of every test.
    pub flags: &'a [String],
}

/// A metalman of a site of its own.
pub struct Metalman {
    /// The administrator.
    pub client: Client,
    /// The site.
    pub site: String,
    /// Where machines are answered by HTTP.
    pub http: SocketAddr,
    health: SocketAddr,
    folder: PathBuf,
    binary: PathBuf,
    process: Process,
}

impl Metalman {
    /// Installs the overlay, and starts metalman under its ServiceAccount; waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start(cluster: &Cluster, flags: &[String]) -> Result<Self> {
        Self::start_with(cluster, &Self::kubeconfig(cluster).await?, flags).await
    }

    /// Installs the overlay; a kubeconfig of its ServiceAccount.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn kubeconfig(cluster: &Cluster) -> Result<PathBuf> {
        install_crypto_provider();
        Overlay::install("metalman", cluster).await?;
        cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller").await
    }

    /// Like [`start`](Self::start), with this kubeconfig.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start_with(
        cluster: &Cluster,
        kubeconfig: &Path,
        flags: &[String],
    ) -> Result<Self> {
        let binary = &*binary("metalman").await?;
        Self::start_program(cluster, Program { binary, kubeconfig, flags }).await
    }

    /// Like [`start_with`](Self::start_with), from a file of the caller's.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start_program(cluster: &Cluster, program: Program<'_>) -> Result<Self> {
        Self::start_site(cluster, unique("site"), program).await
    }

    /// Like [`start_program`](Self::start_program), at this address.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn start_at(
        cluster: &Cluster,
        address: IpAddr,
        program: Program<'_>,
    ) -> Result<Self> {
        let host = ReservedAddress::own(address, &[])?;
        Self::start_on(cluster, host, unique("site"), program).await
    }

    async fn start_site(cluster: &Cluster, site: String, program: Program<'_>) -> Result<Self> {
        Self::start_on(cluster, ReservedAddress::reserve(&[])?, site, program).await
    }

    async fn start_on(
        cluster: &Cluster,
        host: ReservedAddress,
        site: String,
        program: Program<'_>,
    ) -> Result<Self> {
        let (http, health) = (host.spare()?, host.spare()?);
        let (client, folder) = (cluster.client().await?, cluster.scratch());
        let binary = program.binary.to_owned();
        let at = At { site: &site, http, health, folder: &folder, binary: &binary };
        let process = spawn(&at, program.kubeconfig, program.flags)?;
        let mut started = Self { client, site, http, health, folder, binary, process };
        started.ready().await?;
        Ok(started)
    }

    /// Starts the pod of a site's Deployment under its ServiceAccount; waits until it is ready. It listens
    /// on free ports, and answers nobody by DHCP and TFTP.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn of_site(cluster: &Cluster, deployment: &Value) -> Result<Self> {
        let kubeconfig =
            cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller").await?;
        let args: Vec<_> = list(&pod_of(deployment).1["args"]).filter_map(Value::as_str).collect();
        ensure!(args.first() == Some(&"serve-pxe"), "{args:?}");
        let site = args.iter().find_map(|arg| arg.strip_prefix("--site="));
        let site = site.context("it is of no site")?.to_owned();
        // What is of the node, and of this test's instead.
        let others =
            ["serve-pxe", "--site", "--cache-dir", "--dhcp-interface", "--dhcp-auto-interface"];
        let is_kept = |arg: &&&str| !others.contains(&arg.split('=').next().unwrap_or_default());
        let flags: Vec<_> = args.iter().filter(is_kept).map(|arg| (*arg).to_owned()).collect();
        let (binary, kubeconfig) = (&*binary("metalman").await?, &*kubeconfig);
        Self::start_site(cluster, site, Program { binary, kubeconfig, flags: &flags }).await
    }

    /// Kills it, as `kill -9` does, and starts it again at the same addresses and with the same cache.
    ///
    /// # Errors
    ///
    /// If it does not become ready.
    pub async fn kill_and_start_again(
        &mut self,
        kubeconfig: &Path,
        flags: &[String],
    ) -> Result<()> {
        self.process.stop().await?;
        let Self { site, http, health, folder, binary, .. } = &*self;
        let at = At { site, http: *http, health: *health, folder, binary };
        self.process = spawn(&at, kubeconfig, flags)?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<()> {
        self.process.ready(self.health, PATIENCE).await
    }

    /// Where it reports its health.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// Its peak resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        self.process.peak_memory()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// All Machines.
    pub fn machines(&self) -> Api<Machine> {
        Api::all(self.client.clone())
    }

    /// Makes a Machine of this site.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn create(&self, name: &str, pxe: MachinePxe) -> Result<()> {
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let mut machine = Machine::new(name, spec);
        machine.metadata.labels = Some([(SITE.to_owned(), self.site.clone())].into());
        self.machines().create(&PostParams::default(), &machine).await?;
        Ok(())
    }

    /// Makes a Machine at `address` with a BMC and its password, and returns its name. Its image is
    /// nowhere.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn create_with_bmc(&self, bmc: SocketAddr, address: Ipv4Addr) -> Result<String> {
        let name = unique("node");
        self.password(&name).await?;
        let redfish = Some(redfish(bmc, &name));
        let pxe = MachinePxe { redfish, ..pxe(&name, address) };
        self.create(&name, pxe).await?;
        Ok(name)
    }

    /// Like [`create_with_bmc`](Self::create_with_bmc), with an image that is there. Waits until metalman has it.
    ///
    /// # Errors
    ///
    /// Those of the API server, or if the image is not fetched.
    pub async fn create_with_image(
        &self,
        bmc: SocketAddr,
        address: Ipv4Addr,
        image: &Image,
    ) -> Result<String> {
        let name = unique("node");
        self.password(&name).await?;
        let (redfish, image) = (Some(redfish(bmc, &name)), image.name.clone());
        self.create(&name, MachinePxe { redfish, image, ..pxe(&name, address) }).await?;
        let is_there = |it: &MachineStatus| {
            it.operations.is_some() && condition(it, "ImageReady") == Some("Pulled")
        };
        self.is(&name, "there with its image", is_there).await?;
        Ok(name)
    }

    /// Makes the Secret `name` with the password of every simulated BMC.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn password(&self, name: &str) -> Result<()> {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.string_data = Some([("password".to_owned(), ACCOUNT.1.to_owned())].into());
        let secrets = Api::<Secret>::namespaced(self.client.clone(), PASSWORDS);
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    /// Raises counters of a Machine.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn raise(&self, name: &str, operations: Value) -> Result<()> {
        let raise = Patch::Merge(json!({ "spec": { "operations": operations } }));
        self.machines().patch(name, &PatchParams::default(), &raise).await?;
        Ok(())
    }

    /// The status of a Machine, once `holds`.
    ///
    /// # Errors
    ///
    /// If it does not come to hold.
    pub async fn is(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MachineStatus) -> bool,
    ) -> Result<MachineStatus> {
        eventually(PATIENCE, async || {
            let status = self.machines().get(name).await?.status.unwrap_or_default();
            ensure!(holds(&status), "{name} is not {what}: {status:?}");
            Ok(status)
        })
        .await
    }

    /// Does what the installer does when it is done, but that it says so to the API server.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn installed(&self, name: &str, repave_counter: i64) -> Result<()> {
        let current = json!({ "step": "Finishing" });
        let done = json!({ "repaveCounter": repave_counter, "current": current });
        let told = json!({ "status": { "operations": done } });
        self.machines().patch_status(name, &PatchParams::default(), &Patch::Merge(told)).await?;
        Ok(())
    }

    /// Makes the Node of a Machine that is ready, as its kubelet does.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn join(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        Kubelet::new(name, address.into()).report(&self.client).await
    }

    /// Reasons of the events of a Machine.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn events(&self, name: &str) -> Result<Vec<String>> {
        let events = Api::<Event>::all(self.client.clone()).list(&ListParams::default()).await?;
        let of = |event: &Event| {
            event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name)
        };
        Ok(events.items.into_iter().filter(of).filter_map(|event| event.reason).collect())
    }

    /// Waits until events of all these reasons tell of a Machine. They come after what its status says.
    ///
    /// # Errors
    ///
    /// If one does not come; with those that are there.
    pub async fn tells(&self, name: &str, reasons: &[&str]) -> Result<()> {
        eventually(PATIENCE, async || {
            let events = self.events(name).await?;
            let is_told = |reason: &&str| events.iter().any(|it| it == reason);
            ensure!(reasons.iter().all(is_told), "{name}: not all of {reasons:?}: {events:?}");
            Ok(())
        })
        .await
    }

    /// Ends it, as Kubernetes does.
    ///
    /// # Errors
    ///
    /// If it does not end, or was refused something before.
    pub async fn end(self) -> Result<()> {
        let printed = self.process.printed()?;
        ensure!(!printed.contains("orbidden"), "{printed}");
        self.process.terminate(PATIENCE).await.context(printed)
    }
}

/// What stays as it is when metalman starts again.
struct At<'a> {
    site: &'a str,
    http: SocketAddr,
    health: SocketAddr,
    folder: &'a Path,
    binary: &'a Path,
}

fn spawn(at: &At<'_>, kubeconfig: &Path, flags: &[String]) -> Result<Process> {
    let At { site, http, health, folder, binary } = at;
    let mut command = Command::new(binary);
    command.arg("serve-pxe").arg(format!("--site={site}")).stdin(Stdio::null());
    command.arg(format!("--kubeconfig={}", kubeconfig.display())).env_remove("POD_NAME");
    command.arg(format!("--bind-address={}", http.ip()));
    command.arg(format!("--http-port={}", http.port()));
    command.arg(format!("--health-port={}", health.port()));
    command.arg("--cluster-dns=10.96.0.10");
    if !flags.iter().any(|flag| flag.starts_with("--dhcp-")) {
        command.arg("--dhcp-port=0");
    }
    if !flags.iter().any(|flag| flag.starts_with("--tftp-port")) {
        command.arg("--tftp-port=0");
    }
    command.arg(format!("--cache-dir={}", folder.join(format!("{site}.cache")).display()));
    Process::start(command.args(flags), folder.join(format!("{site}.log")))
}
