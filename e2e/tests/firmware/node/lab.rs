//! metalman, and one machine with real firmware on a link of its own.

use super::timeline::Timeline;
use crate::{inside::netboot_image, logs::tail, network::ADDRESS};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, binary, eventually},
    stack::{
        NodeLink, NodeVm, OciRegistry, Overlay,
        metalman::{PASSWORDS, condition, has_attested, is_installed, is_ready},
        push_netboot_image, reachable_api_server,
    },
};
use k8s_openapi::api::core::v1::{Node, Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachinePhase, MachineSpec, MachineStatus};
use metal_simulator::{Config, Reset, Vm};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinSet};

const NAMESPACE: &str = "unbounded-kube";
/// Name of the Machine.
pub(super) const NAME: &str = "node-01";
const LINK: NodeLink =
    NodeLink { bridge: "br0", tap: "tap0", address: ADDRESS, lease: Ipv4Addr::new(10, 77, 0, 11) };
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

/// What is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    /// Debian, with systemd and cloud-init.
    Debian,
    /// metal-agent and the kubelet alone.
    Small,
}

/// All of it.
pub(super) struct Lab {
    pub(super) client: Client,
    cluster: Cluster,
    metalman: Process,
    machine: NodeVm,
    system: System,
    image: String,
    _registry: OciRegistry,
    _forward: JoinSet<()>,
    _folder: TempDir,
}

impl Lab {
    /// Starts all of it. The machine is off, its disk is empty, and it has no Machine yet.
    pub(super) async fn start(order: Order, system: System) -> Self {
        let lab = Self::try_start(order, system).await.unwrap();
        if order == Order::NetworkFirst {
            // HTTP, and the disk.
            lab.patch(&json!({ "BootOrder": ["Boot0003", "Boot0001"] })).await;
        }
        lab
    }

    async fn try_start(order: Order, system: System) -> Result<Self> {
        LINK.make()?;
        let folder = tempfile::tempdir()?;
        let vm = Vm {
            memory: if system == System::Debian { 768 } else { 512 },
            keeps_variables: order == Order::OfVariables,
            ..Vm::new(folder.path().join("0"), LINK.tap)
        };
        let machine = NodeVm::start(LINK, vm, Config::default()).await?;
        let cluster = Cluster::start().await?;
        cluster.apply(&Overlay::build("metalman").await?.yaml).await?;
        cluster.established().await?;
        let mut forwards = JoinSet::new();
        let api = reachable_api_server(&cluster, ADDRESS.into(), &mut forwards).await?;
        let registry = OciRegistry::start(&cluster.scratch()).await?;
        let image = registry.image("netboot:1");
        push_netboot_image(&netboot_image(), &image).await?;
        let metalman = metalman(&cluster, api).await?;
        let client = cluster.client().await?;
        Ok(Self {
            client,
            cluster,
            metalman,
            machine,
            system,
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
        let mut secret = Secret::default();
        secret.metadata.name = Some(NAME.to_owned());
        secret.string_data = Some([("password".to_owned(), "bar".to_owned())].into());
        let secrets = Api::<Secret>::namespaced(self.client.clone(), PASSWORDS);
        secrets.create(&PostParams::default(), &secret).await?;
        let mut pxe = self.machine.pxe(NAME, &self.image)?;
        pxe.redfish = pxe.redfish.filter(|_| with_bmc);
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
        self.machine.simulator.reset(0, reset).unwrap();
    }

    /// Changes the boot settings, as a person does in the menus of firmware.
    async fn patch(&self, boot: &Value) {
        let url =
            format!("https://{}/redfish/v1/Systems/1", self.machine.simulator.bmc(0).unwrap());
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
            ensure!(is_ready_node(&node) && holds(&node), "node {NAME} is not {what}: {node:?}");
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
        self.is("installed", is_installed).await;
        timeline.mark("disk written");
        if self.system == System::Debian {
            self.is("started", |it| condition(it, "CloudInitDone").is_some()).await;
            timeline.mark("cloud-init");
        }
        self.is("attested", has_attested).await;
        timeline.mark("attested");
        let node = self.node("there", |_| true).await;
        timeline.mark("Node ready");
        self.is("ready", is_ready).await;
        timeline.mark("Machine ready");
        node
    }

    /// Output of the machine since it exists.
    pub(super) fn console(&self) -> String {
        self.machine.console()
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
            panic!("{error:#}\n{}\n{:#?}", logs.join("\n"), self.machine.simulator.machine(0));
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

fn is_ready_node(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|it| it.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
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
