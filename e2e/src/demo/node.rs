//! A machine that becomes a node, which is metalman's part: from its Machine to a ready Node.

use super::{Demo, screen::INDENT};
use crate::{
    cluster::workspace,
    stack::{
        OciRegistry, ScriptedMachine,
        metalman::{Metalman, condition, is_ready, pxe, redfish},
        sha256,
    },
};
use anyhow::{Context, Result, ensure};
use metal_api::MachinePxe;
use metal_image::testing::archive;
use metal_simulator::{Config, Power, Profile, Simulator, Transport};
use serde_json::json;
use std::{fs, net::Ipv4Addr, path::Path};
use tokio::task::JoinSet;

/// The Machine, and the address that is reserved for it.
pub(super) const NAME: &str = "demo-node";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 31, 0, 11);
/// Address of its BMC.
pub(super) const BMC: Ipv4Addr = Ipv4Addr::new(127, 31, 1, 11);
/// What it is installed from.
pub(super) const IMAGE: &str = "netboot:1";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Templates of our netboot image.
const TEMPLATES: [&str; 5] = [
    "grub/grub.cfg.tmpl",
    "install.json.tmpl",
    "agent.json.tmpl",
    "cloud-init/meta-data.tmpl",
    "cloud-init/vendor-data.tmpl",
];

/// metalman, and the BMC of the machine.
pub(super) struct Node {
    _metalman: Metalman,
    _bmc: Simulator,
    _forward: JoinSet<()>,
}

impl Node {
    /// What has to go on running; `forward` is what the machine reaches the API server by.
    pub(super) fn new(metalman: Metalman, bmc: Simulator, forward: JoinSet<()>) -> Self {
        Self { _metalman: metalman, _bmc: bmc, _forward: forward }
    }
}

impl Demo<'_> {
    /// Installs metalman, and has it install a machine that then joins.
    pub(super) async fn machine_joins(&self, registry: &OciRegistry) -> Result<Node> {
        let since = self.screen.begin();
        push(registry).await?;
        let server = self.client_url()?;
        let flags = [format!("--apiserver-url={server}")];
        let metalman = Metalman::start(self.cluster, &flags).await?;
        self.screen.done(since, "config/metalman is installed, and metalman runs as it says");

        let since = self.screen.begin();
        let bmc = bmc().await?;
        let at = bmc.bmc(0).context("a BMC has an address")?;
        metalman.password(NAME).await?;
        let redfish = Some(redfish(at, NAME));
        let image = registry.image(IMAGE);
        metalman.create(NAME, MachinePxe { redfish, image, ..pxe(NAME, ADDRESS) }).await?;
        metalman.is(NAME, "seen", |it| it.operations.is_some()).await?;
        let pulled = |it: &_| condition(it, "ImageReady") == Some("Pulled");
        metalman.is(NAME, "with an image", pulled).await?;
        self.screen.done(since, &format!("machine {NAME} has its image: {IMAGE}"));

        let since = self.screen.begin();
        metalman.raise(NAME, json!({ "rebootCounter": 1, "repaveCounter": 1 })).await?;
        let installing = |it: &_| condition(it, "Repaved") == Some("Pending");
        metalman.is(NAME, "booting from the network", installing).await?;
        let machine = ScriptedMachine::new(metalman.http, ADDRESS)?;
        let size = machine.is_installed().await?;
        let what = format!("its BMC boots it from the network, {size} bytes are on its disk");
        self.screen.done(since, &format!("machine {NAME} is installed: {what}"));

        let since = self.screen.begin();
        let agent = machine.starts().await?;
        let credential = machine.joins(agent).await?;
        self.screen.done(since, &format!("{NAME} has attested, and has a certificate of its own"));
        let since = self.screen.begin();
        machine.is_ready(&credential).await?;
        metalman.is(NAME, "ready", is_ready).await?;
        self.screen.done(since, &format!("node {NAME} is ready, and so is its machine"));
        self.show_node().await?;
        Ok(Node::new(metalman, bmc, JoinSet::new()))
    }

    pub(super) async fn show_node(&self) -> Result<()> {
        let machines = self.cluster.kubectl(&["get", "machines.unbounded-cloud.io,nodes"]).await?;
        machines.lines().for_each(|line| self.screen.tell(&format!("{INDENT}{line}")));
        Ok(())
    }

    fn client_url(&self) -> Result<String> {
        let text = fs::read_to_string(self.cluster.kubeconfig())?;
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: "));
        Ok(server.context("a kubeconfig names a server")?.to_owned())
    }
}

/// A host that is on, behind a BMC that speaks TLS.
async fn bmc() -> Result<Simulator> {
    let profile = Profile { transport: Transport::Https, ..Profile::default() };
    // Another machine than those in the rack, which have the default seed.
    let config = Config { bmc_base: BMC, power: Power::On, profile, seed: 1, ..Config::default() };
    Ok(Simulator::start(config).await?)
}

/// Pushes our netboot image. Nothing boots or writes what is large in it, so that is arbitrary data.
async fn push(registry: &OciRegistry) -> Result<()> {
    let disk = |name: &str| format!("disk/{name}");
    let image = "a disk image\n".repeat(65_536).into_bytes();
    let mut files = vec![
        (disk("metadata.yaml"), b"dhcpBootImageName: shimx64.efi\n".to_vec()),
        (disk("disk.img.sha256"), format!("{}  disk.img\n", sha256(&image)).into_bytes()),
        (disk("disk.img"), image),
    ];
    for name in ["shimx64.efi", "grubx64.efi", "vmlinuz", "initrd"] {
        files.push((disk(name), name.repeat(512).into_bytes()));
    }
    for name in TEMPLATES {
        let path = workspace().join("hack/netboot-image.d/disk").join(name);
        files.push((disk(name), template(&path)?.into_bytes()));
    }
    let files: Vec<_> = files.iter().map(|(name, content)| (&**name, &**content)).collect();
    registry.push(IMAGE, &[(LAYER, &archive(&files))]).await
}

fn template(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path)?;
    ensure!(!text.is_empty(), "{} is empty", path.display());
    Ok(text.replace("@CMDLINE@", "console=tty0"))
}
