//! The whole stack on loopback: control plane, registry with images, operators as processes, and
//! simulated machines. Every address is free when it starts, so several run at once, and all of it
//! ends with the process that started it, however that ends.
//!
//! ```text
//!   Stack ── Cluster        etcd, kube-apiserver, kube-controller-manager
//!         ├─ OciRegistry    docker-registry, with the images of `image`
//!         ├─ Operator       metal-operator, boot-operator: each under its own ServiceAccount
//!         └─ Simulator      one for each fleet
//! ```

mod account;
mod address;
mod claim;
mod image;
mod macdb;
mod machine;
mod netboot;
mod operator;
mod overlay;
mod pod;
mod registry;
mod settings;
mod until;

pub use address::Host;
pub use claim::{Claimed, IGNITION, claim};
pub use image::{DISCOVERY, HTTP_TENANT, INITRD, KERNEL, NO_KERNEL, PXE_TENANT, UKI};
pub use macdb::{MacDb, Prefix};
pub use machine::{Machine, Tenant};
pub use netboot::{HEALTH as NETBOOT_HEALTH, netboot, netboot_as};
pub use operator::Operator;
pub use overlay::{Overlay, list, name, pod_of};
pub use pod::{Node, Ports, pod};
pub use registry::{Layer, OciRegistry, client as http_client, sha256};
pub use settings::{Settings, quick};
pub use until::{deleted, until};

use crate::cluster::Cluster;
use anyhow::{Context, Result};
use kube::Client;
use metal_simulator::Simulator;
use std::time::Duration;
use url::Url;

/// How long an operator may take until it is ready.
const READY: Duration = Duration::from_mins(2);
/// Namespace of the discovery's boot configurations and secrets.
pub const NAMESPACE: &str = account::NAMESPACE;

/// A stack that runs.
pub struct Stack {
    /// The API server.
    pub cluster: Cluster,
    /// The administrator.
    pub client: Client,
    /// Where images are.
    pub registry: OciRegistry,
    /// The machines.
    pub fleets: Vec<Simulator>,
    /// Which MAC addresses are BMCs.
    pub macdb: MacDb,
    /// The metal-operator.
    pub metal: Operator,
    /// The boot-operator.
    pub boot: Operator,
    /// Where machines boot from.
    pub boot_url: Url,
    /// Where machines report.
    pub reports_url: Url,
}

impl Stack {
    /// Starts all of it, and waits until the operators are ready.
    ///
    /// # Errors
    ///
    /// If a part does not start; with what it printed last.
    pub async fn start(settings: Settings) -> Result<Self> {
        let without_netboot = settings.without_netboot();
        let (cluster, binaries) =
            tokio::try_join!(control_plane(), operator::Binaries::find(settings.binaries))?;
        let (client, scratch) = (cluster.client().await?, cluster.scratch());
        let registry = OciRegistry::start(&scratch).await?;
        let discovery = settings.discovery.iter();
        let discovery: Vec<Layer> = discovery.map(|(kind, layer)| (*kind, &**layer)).collect();
        image::push(&registry, &discovery).await?;
        let [boot_port, image_port, registry_port] = [8082, 8083, 10000];
        let ports = [boot_port, image_port, registry_port];
        let host = match settings.address {
            Some(address) => Host::own(address, &ports)?,
            None => Host::reserve(&ports)?,
        };
        let boot_url = Url::parse(&format!("http://{}", host.at(boot_port)?))?;
        let reports_url = Url::parse(&format!("http://{}", host.at(registry_port)?))?;
        let (mut fleets, mut prefixes) = (Vec::new(), Vec::new());
        for mut fleet in settings.fleets {
            fleet.boot.url = Some(boot_url.clone());
            let (prefix, account) = (fleet.bmc_mac_prefix, fleet.account.clone());
            let simulator = Simulator::start(fleet).await?;
            prefixes.push(Prefix::new(prefix, simulator.redfish().port(), account));
            fleets.push(simulator);
        }
        let macdb = MacDb::create(scratch.join("macdb.yaml"), prefixes).await?;
        let accounts = account::install(&cluster).await?;
        let metal = operator::metal(&binaries, &scratch, &accounts, &host, registry_port)?
            .flag("--probe-os-image", registry.image(DISCOVERY))
            .flag("--mac-prefixes-file", macdb.path().display())
            .flags(settings.metal);
        let boot = operator::boot(&binaries, &scratch, &accounts, &host, boot_port, image_port)?
            .flag("--allowed-registries", registry.address())
            .flag("--default-httpboot-oci-image", registry.image(DISCOVERY))
            .flags(without_netboot)
            .flags(settings.boot);
        let stack =
            Self { cluster, client, registry, fleets, macdb, metal, boot, boot_url, reports_url };
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

async fn control_plane() -> Result<Cluster> {
    let cluster = Cluster::start().await?;
    cluster.install().await.context("custom resources")?;
    Ok(cluster)
}
