//! metalman, and one machine with real firmware on a link of its own.
//!
//! ```text
//!   BMC of the simulator (TLS) ◄── metalman (Redfish, on loopback)
//!     └── QEMU with a TPM ── tap0 ── br0 10.77.0.1/24: metalman (DHCP, TFTP, HTTP), API server
//! ```

use super::{image, timeline::Timeline};
use crate::{
    inside::netboot_image,
    logs::tail,
    network::{ADDRESS, bridge},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, binary, eventually},
    demo::forward,
    stack::{
        OciRegistry, Overlay,
        metalman::{PASSWORDS, condition, redfish},
    },
};
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachineLease, MachinePhase, MachinePxe, MachineSpec, MachineStatus};
use metal_simulator::{Config, Profile, Reset, Simulator, Transport, Vm};
use serde_json::{Value, json};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinSet};

const NAMESPACE: &str = "unbounded-kube";
/// Name of the Machine.
pub(super) const NAME: &str = "node-01";
const LEASE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
/// How long a step may take: without KVM, on a busy machine.
const LIMIT: Duration = Duration::from_mins(10);

/// What firmware boots if its BMC asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// What its variables say, in which the installer puts the disk first.
    OfVariables,
    /// Always from the network: what is then loaded decides.
    NetworkFirst,
}

/// All of it.
pub(super) struct Lab {
    pub(super) client: Client,
    pub(super) simulator: Simulator,
    cluster: Cluster,
    metalman: Process,
    vm: Vm,
    image: String,
    _registry: OciRegistry,
    _forward: JoinSet<()>,
    _folder: TempDir,
}

impl Lab {
    /// Starts all of it. The machine is off, its disk is empty, and it has no Machine yet.
    pub(super) async fn start(order: Order) -> Self {
        let lab = Self::try_start(order).await.unwrap();
        if order == Order::NetworkFirst {
            // HTTP, and the disk.
            lab.patch(&json!({ "BootOrder": ["Boot0003", "Boot0001"] })).await;
        }
        lab
    }

    async fn try_start(order: Order) -> Result<Self> {
        bridge()?;
        let folder = tempfile::tempdir()?;
        let vm = Vm {
            memory: 768,
            has_tpm: true,
            keeps_variables: order == Order::OfVariables,
            ..Vm::new(folder.path().join("0"), "tap0")
        };
        let profile = Profile { transport: Transport::Https, ..Profile::default() };
        let config = Config { vms: [(0, vm.clone())].into(), profile, ..Config::default() };
        let simulator = Simulator::start(config).await?;
        let cluster = Cluster::start().await?;
        cluster.apply(&Overlay::build("metalman").await?.yaml).await?;
        cluster.established().await?;
        let mut forwards = JoinSet::new();
        let api = api_server(&cluster, &mut forwards).await?;
        let registry = OciRegistry::start(&cluster.scratch()).await?;
        let image = registry.image("netboot:1");
        let target = netboot_image();
        let [push, plain] = ["push", "--plain-http"].map(AsRef::as_ref);
        image::run("hack/netboot-image", [push, target.as_os_str(), image.as_ref(), plain]).await?;
        let metalman = metalman(&cluster, api).await?;
        let client = cluster.client().await?;
        Ok(Self {
            client,
            simulator,
            cluster,
            metalman,
            vm,
            image,
            _registry: registry,
            _forward: forwards,
            _folder: folder,
        })
    }

    /// Makes the Machine, with its BMC if metalman is to use that, and waits until its image is there.
    pub(super) async fn apply(&self, with_bmc: bool) -> Timeline {
        let timeline = Timeline::start();
        self.told(self.try_apply(with_bmc).await);
        self.is("with an image", |status| condition(status, "ImageReady") == Some("Pulled")).await;
        timeline
    }

    async fn try_apply(&self, with_bmc: bool) -> Result<()> {
        let lease = MachineLease {
            ipv4: LEASE.to_string(),
            mac: self.simulator.hardware(0)?.nics()[0].mac.to_string(),
            subnet_mask: "255.255.255.0".to_owned(),
            gateway: ADDRESS.to_string(),
            ..MachineLease::default()
        };
        let mut secret = Secret::default();
        secret.metadata.name = Some(NAME.to_owned());
        secret.string_data = Some([("password".to_owned(), "bar".to_owned())].into());
        let secrets = Api::<Secret>::namespaced(self.client.clone(), PASSWORDS);
        secrets.create(&PostParams::default(), &secret).await?;
        let redfish = redfish(self.simulator.bmc(0).context("no BMC")?, NAME);
        let pxe = MachinePxe {
            image: self.image.clone(),
            dhcp_leases: vec![lease],
            redfish: with_bmc.then_some(redfish),
            ..MachinePxe::default()
        };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let machines = Api::<Machine>::all(self.client.clone());
        machines.create(&PostParams::default(), &Machine::new(NAME, spec)).await?;
        Ok(())
    }

    /// Raises counters.
    pub(super) async fn raise(&self, operations: Value) {
        // It counts from what is there when it is first seen.
        self.is("seen", |status| status.operations.is_some()).await;
        let raise = Patch::Merge(json!({ "spec": { "operations": operations } }));
        let machines = Api::<Machine>::all(self.client.clone());
        self.told(machines.patch(NAME, &PatchParams::default(), &raise).await.map_err(Into::into));
    }

    /// Presses the button, or cuts the power.
    pub(super) fn reset(&self, reset: Reset) {
        self.simulator.reset(0, reset).unwrap();
    }

    /// Changes the boot settings, as a person does in the menus of firmware.
    async fn patch(&self, boot: &Value) {
        let url = format!("https://{}/redfish/v1/Systems/1", self.simulator.bmc(0).unwrap());
        let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true);
        let patch = http.build().unwrap().patch(url).basic_auth("foo", Some("bar"));
        let answer = patch.json(&json!({ "Boot": boot })).send().await.unwrap();
        answer.error_for_status().unwrap();
    }

    /// The status, once `holds`.
    pub(super) async fn is(
        &self,
        what: &str,
        holds: impl Fn(&MachineStatus) -> bool,
    ) -> MachineStatus {
        let machines = Api::<Machine>::all(self.client.clone());
        let is = eventually(LIMIT, async || {
            let status = machines.get(NAME).await?.status.unwrap_or_default();
            ensure!(holds(&status), "{NAME} is not {what}: {status:?}");
            Ok(status)
        });
        self.told(is.await)
    }

    /// The Node, once it is ready and `holds`.
    pub(super) async fn node(&self, what: &str, holds: impl Fn(&Node) -> bool) -> Node {
        let nodes = Api::<Node>::all(self.client.clone());
        let node = eventually(LIMIT, async || {
            let node = nodes.get(NAME).await?;
            ensure!(is_ready(&node) && holds(&node), "node {NAME} is not {what}: {node:?}");
            Ok(node)
        });
        self.told(node.await)
    }

    /// Waits until its BMC has had it boot from the network.
    pub(super) async fn is_booting(&self, timeline: &mut Timeline) {
        self.is("installing", |it| it.phase == Some(MachinePhase::Provisioning)).await;
        timeline.mark("switched on");
    }

    /// From the first boot to a ready Machine, with the times in between.
    pub(super) async fn is_installed(&self, timeline: &mut Timeline) -> Node {
        let is_done = |it: &MachineStatus| condition(it, "Repaved") == Some("Succeeded");
        self.is("installed", is_done).await;
        timeline.mark("disk written");
        self.is("started", |it| condition(it, "CloudInitDone").is_some()).await;
        timeline.mark("cloud-init");
        self.is("attested", |it| it.tpm.as_ref().is_some_and(|it| it.ek_public_key.is_some()))
            .await;
        timeline.mark("attested");
        let node = self.node("there", |_| true).await;
        timeline.mark("Node ready");
        self.is("ready", |status| status.phase == Some(MachinePhase::Ready)).await;
        timeline.mark("Machine ready");
        node
    }

    /// Output of the machine since it exists.
    pub(super) fn console(&self) -> String {
        let old = self.vm.console().with_extension("log.old");
        let read = |path| fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&[read(old), read(self.vm.console())].concat()).into_owned()
    }

    /// Unwraps a result, with everything that could explain an error.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    fn told<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let logs = [
                ("console", self.console()),
                ("metalman", self.metalman.printed().unwrap_or_default()),
            ];
            let logs = logs.map(|(name, log)| format!("== {name}\n{}", tail(&log)));
            panic!("{error:#}\n{}\n{:#?}", logs.join("\n"), self.simulator.machine(0));
        })
    }

    /// Ends it, as Kubernetes does; it was refused nothing.
    pub(super) async fn end(self) {
        let printed = self.metalman.printed().unwrap();
        assert!(!printed.contains("orbidden"), "{printed}");
        self.metalman.terminate(LIMIT).await.unwrap();
        drop(self.cluster);
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|it| it.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

/// Makes the API server reachable for machines; returns its address.
async fn api_server(cluster: &Cluster, forwards: &mut JoinSet<()>) -> Result<SocketAddr> {
    let text = fs::read_to_string(cluster.kubeconfig())?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
    let server: SocketAddr = server.context("a kubeconfig names a server")?.parse()?;
    let listener = TcpListener::bind((ADDRESS, 0)).await?;
    let at = listener.local_addr()?;
    forwards.spawn(forward(listener, server));
    Ok(at)
}

/// Starts metalman, and waits until it is ready.
async fn metalman(cluster: &Cluster, api: SocketAddr) -> Result<Process> {
    let account = cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller").await?;
    let mut command = Command::new(binary("metalman").await?);
    command.args(["serve-pxe", "--dhcp-interface=br0", "--cluster-dns=10.0.0.10"]);
    command.arg(format!("--bind-address={ADDRESS}")).arg(format!("--apiserver-url=https://{api}"));
    command.arg(format!("--kubeconfig={}", account.display())).env_remove("POD_NAME");
    command.arg(format!("--cache-dir={}", cluster.scratch().join("cache").display()));
    command.stdin(Stdio::null());
    let mut process = Process::start(&mut command, cluster.scratch().join("metalman.log"))?;
    let ready = process.ready((ADDRESS, 8081).into(), LIMIT).await;
    ready.with_context(|| process.printed().unwrap_or_default())?;
    Ok(process)
}
