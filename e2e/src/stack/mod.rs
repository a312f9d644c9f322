//! The whole stack on loopback: control plane, registry with images, operators as processes, and
//! simulated machines. All addresses are chosen from free ones, so several stacks can run at once;
//! everything ends with the process that started it, however that ends.
//!
//! ```text
//!   Stack ── Cluster        etcd, kube-apiserver, kube-controller-manager
//!         ├─ OciRegistry    docker-registry, with the images of `image`
//!         ├─ Operator       metal-operator, boot-operator: the pods of `config/default`
//!         └─ Simulator      one for each fleet
//! ```

mod address;
mod claim;
mod container_image;
mod image;
mod macdb;
mod machine;
pub mod metalman;
mod netboot;
mod node_vm;
mod operator;
mod overlay;
mod plugin;
mod pod;
mod registry;
pub mod rented;
mod scripted_machine;
mod settings;
mod site;
mod until;

pub use address::ReservedAddress;
pub use claim::{Claimed, IGNITION, claim};
pub use image::{DISCOVERY, DISK, HTTP_TENANT, INITRD, KERNEL, NO_KERNEL, PXE_TENANT, UKI};
pub use macdb::{MacDb, Prefix};
pub use machine::{Machine, Tenant};
pub use netboot::configure_netboot;
pub use node_vm::{NodeLink, NodeVm, push_netboot_image, reachable_api_server, run_script};
pub use operator::Operator;
pub use overlay::{Overlay, list, name, pod_of};
pub use plugin::{Printed, ended, plugin, run_plugin};
pub use pod::{Node, Ports, pod, pod_alone};
pub use registry::{Layer, Login, OciRegistry, sha256};
pub use scripted_machine::{Agent, Credential, ScriptedMachine};
pub use settings::{Settings, quick};
pub use until::{deleted, until};

use crate::cluster::Cluster;
use anyhow::{Context, Result};
use kube::Client;
use metal_simulator::Simulator;
use std::time::Duration;
use url::Url;

/// How long an operator may take to become ready.
const READY: Duration = Duration::from_mins(2);
/// Namespace of the boot configurations and secrets of discovery.
pub const NAMESPACE: &str = "metal-operator-system";

/// A running stack.
pub struct Stack {
    /// A client of the API server.
    pub cluster: Cluster,
    overlay: Overlay,
    /// The administrator.
    pub client: Client,
    /// The registry of the images.
    pub registry: OciRegistry,
    /// The machines.
    pub fleets: Vec<Simulator>,
    /// The MAC prefix database.
    pub macdb: MacDb,
    /// The metal-operator.
    pub metal: Operator,
    /// The boot-operator.
    pub boot: Operator,
    /// Where machines boot from.
    pub boot_url: Url,
    /// Where machines send their reports.
    pub reports_url: Url,
}

impl Stack {
    /// Starts everything, and waits until the operators are ready.
    ///
    /// # Errors
    ///
    /// If a part does not start; with what it printed last.
    pub async fn start(settings: Settings) -> Result<Self> {
        let without_netboot = settings.without_netboot();
        let cluster = Cluster::start().await?;
        let (client, scratch) = (cluster.client().await?, cluster.scratch());
        let address = ReservedAddress::reserve(&[5000])?.at(5000)?;
        let registry = OciRegistry::start_for(settings.login, address, &scratch).await?;
        let discovery = settings.discovery.iter();
        let discovery: Vec<Layer> = discovery.map(|(kind, layer)| (*kind, &**layer)).collect();
        image::push(&registry, &discovery).await?;
        let host = match settings.address {
            Some(address) => ReservedAddress::own(address, &site::PORTS)?,
            None => ReservedAddress::reserve(&site::PORTS)?,
        };
        let boot_url = Url::parse(&format!("http://{}", host.at(site::BOOT)?))?;
        let reports_url = Url::parse(&format!("http://{}", host.at(site::REPORTS)?))?;
        let (fleets, prefixes) = fleets(settings.fleets, &boot_url).await?;
        let overlay = site::overlay(&scratch.join("site"), &host, &registry).await?;
        cluster.apply(&overlay.yaml).await.context("config/default cannot be installed")?;
        cluster.established().await?;
        let (address, ports) = (host.at(site::BOOT)?.ip(), Ports::Held(&host));
        let (folder, binaries) = (&*scratch, settings.binaries.as_deref());
        let node = Node { folder, address, ports, binaries };
        let operator =
            async |name| pod(&cluster, &overlay, overlay.named("Deployment", name)?, node).await;
        let metal = operator("metal-operator").await?.flags(settings.metal);
        // Stands in for the Secret, at the path that the pod would have.
        let macdb = scratch.join("metal-operator/macdb/macdb.yaml");
        let macdb = MacDb::create(macdb, prefixes).await?;
        let boot = operator("boot-operator")
            .await?
            .flag("--default-httpboot-oci-image", registry.image(DISCOVERY))
            .flags(without_netboot)
            .flags(settings.boot);
        let stack = Self {
            cluster,
            overlay,
            client,
            registry,
            fleets,
            macdb,
            metal,
            boot,
            boot_url,
            reports_url,
        };
        drop(host);
        stack.metal.start()?;
        stack.boot.start()?;
        tokio::try_join!(stack.metal.ready(READY), stack.boot.ready(READY))?;
        Ok(stack)
    }

    /// Machine `index` of the fleet `fleet`.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn machine(&self, fleet: usize, index: u32) -> Result<Machine<'_>> {
        Machine::new(self, fleet, index)
    }
}

/// Starts the machines; also returns their entries for the MAC prefix database.
async fn fleets(
    configs: Vec<metal_simulator::Config>,
    boot_url: &Url,
) -> Result<(Vec<Simulator>, Vec<Prefix>)> {
    let (mut fleets, mut prefixes) = (Vec::new(), Vec::new());
    for mut fleet in configs {
        fleet.boot.url = Some(boot_url.clone());
        let (prefix, account) = (fleet.bmc_mac_prefix, fleet.account.clone());
        let simulator = Simulator::start(fleet).await?;
        prefixes.push(Prefix::new(prefix, simulator.redfish().port(), account));
        fleets.push(simulator);
    }
    Ok((fleets, prefixes))
}
