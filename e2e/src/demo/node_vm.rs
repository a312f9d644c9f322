//! A virtual machine that becomes a node: real firmware, its loader, the installer, and a TPM that it attests by.

use super::{
    Demo,
    node::{BMC, IMAGE, NAME, Node},
    screen::INDENT,
};
use crate::{
    cluster::binary,
    stack::{
        NodeLink, NodeVm, OciRegistry,
        metalman::{Metalman, Program, condition, has_attested, is_installed, is_ready},
        push_netboot_image, reachable_api_server,
    },
};
use anyhow::{Result, ensure};
use metal_api::{MachinePhase, MachineStatus};
use metal_simulator::{Config, Vm};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use tokio::task::JoinSet;

const LINK: NodeLink = NodeLink {
    bridge: "node",
    tap: "tap1",
    address: Ipv4Addr::new(10, 79, 0, 1),
    lease: Ipv4Addr::new(10, 79, 0, 11),
};
/// The address of ours that the certificate of the API server names.
const API: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
/// MiB that installer and installed system need.
const MEMORY: u32 = 512;
/// Seconds that a step may take: firmware is slow without KVM, and much slower on a busy machine.
const PATIENCE: u64 = 600;

impl Demo<'_> {
    /// Installs metalman, and has it install a virtual machine that then joins.
    pub(super) async fn virtual_machine_joins(&self, registry: &OciRegistry) -> Result<Node> {
        let mut forward = JoinSet::new();
        let metalman = self.metalman_on_its_link(&mut forward).await?;
        let machine = self.virtual_machine(&metalman, registry).await?;
        metalman.raise(NAME, json!({ "rebootCounter": 1, "repaveCounter": 1 })).await?;
        let is_on = |it: &MachineStatus| it.phase == Some(MachinePhase::Provisioning);
        self.machine_is(&metalman, "its BMC has switched on a virtual machine with a TPM", is_on)
            .await?;
        let title = format!(
            "machine {NAME} is installed: its firmware has booted from the network, and the disk is \
             written"
        );
        self.machine_is(&metalman, &title, is_installed).await?;
        let title = format!("{NAME} has started from its disk, and has attested by its TPM");
        self.machine_is(&metalman, &title, has_attested).await?;
        let title = format!("node {NAME} is ready, and so is its machine");
        self.machine_is(&metalman, &title, is_ready).await?;
        self.show_node().await?;
        Ok(Node::new(metalman, machine.simulator, forward))
    }

    /// Starts metalman on a link of its own, as netboot answers on the other ones.
    async fn metalman_on_its_link(&self, forward: &mut JoinSet<()>) -> Result<Metalman> {
        let since = self.screen.begin();
        LINK.make()?;
        let server = reachable_api_server(self.cluster, API, forward).await?;
        let flags = [
            format!("--apiserver-url=https://{server}"),
            format!("--dhcp-interface={}", LINK.bridge),
            "--tftp-port=69".to_owned(),
        ];
        let kubeconfig = &*Metalman::kubeconfig(self.cluster).await?;
        let binary = &*binary("metalman").await?;
        let program = Program { binary, kubeconfig, flags: &flags };
        let metalman = Metalman::start_at(self.cluster, LINK.address.into(), program).await?;
        self.screen.done(since, "config/metalman is installed, and metalman runs as it says");
        Ok(metalman)
    }

    /// Makes the Machine, and waits until metalman has its image.
    async fn virtual_machine(&self, metalman: &Metalman, registry: &OciRegistry) -> Result<NodeVm> {
        let image = registry.image(IMAGE);
        push_netboot_image(&self.settings.folder.join("node"), &image).await?;
        let vm = Vm {
            memory: MEMORY,
            keeps_variables: true,
            ..Vm::new(self.cluster.scratch().join("node"), LINK.tap)
        };
        let console = vm.console();
        // Another machine than those in the rack, which have the default seed.
        let config = Config { bmc_base: BMC, seed: 1, ..Config::default() };
        let machine = NodeVm::start(LINK, vm, config).await?;
        metalman.password(NAME).await?;
        metalman.create(NAME, machine.pxe(NAME, &image)?).await?;
        let title = format!("machine {NAME} has its image: {IMAGE}");
        let has_image = |it: &MachineStatus| {
            it.operations.is_some() && condition(it, "ImageReady") == Some("Pulled")
        };
        self.machine_is(metalman, &title, has_image).await?;
        self.screen.tell(&format!("{INDENT}its console: {}", console.display()));
        Ok(machine)
    }

    /// Waits until the Machine says so.
    async fn machine_is(
        &self,
        metalman: &Metalman,
        title: &str,
        holds: impl Fn(&MachineStatus) -> bool,
    ) -> Result<()> {
        let (since, ()) = self
            .wait(PATIENCE, title, async |since| {
                let status = metalman.machines().get(NAME).await?.status.unwrap_or_default();
                let says = status.message.clone().unwrap_or_default();
                self.screen.goes_on(since, title, &says);
                ensure!(holds(&status), "{says}");
                Ok(())
            })
            .await?;
        self.screen.done(since, title);
        Ok(())
    }
}
