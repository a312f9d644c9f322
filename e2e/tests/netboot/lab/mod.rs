//! netboot, an API server, and links to clients.
//!
//! ```text
//!   here: API server, netboot ──── near 10.77.1.0/24 ──── clients
//!                             ──── far  10.77.9.0/24 ──── relay ──── behind 10.77.2.0/24 ── clients
//! ```

mod boot_urls;
mod inline;

use crate::{client::Client, inside::Tools};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, eventually},
    namespace::{Links, Network},
    stack::{Node, Operator, Overlay, configure_netboot, pod},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{ListParams, ObjectMeta},
};
use metal_api::{DhcpLease, Endpoint};
use std::{
    cell::OnceCell,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

const LIMIT: Duration = Duration::from_mins(3);
/// The namespace in which netboot would run, according to `bases`.
const NAMESPACE: &str = "metal-operator-system";
/// The MAC prefix database, as somebody might write it for a fleet.
const BMCS: &str =
    "macPrefixes: [{ macPrefix: '02:BB:CC', protocol: Redfish, port: 443, type: bmc }]";

/// The account of every BMC, and the port that it listens on.
pub(crate) const USER: &str = "root";
pub(crate) const PASSWORD: &str = "calvin";
pub(crate) const REDFISH: u16 = 8000;

/// Where netboot's MAC prefix database is, below the folder of its pod.
const DATABASE: &str = "netboot/macdb/macdb.yaml";
/// The folder of the second instance.
const OTHER: &str = "other";

/// The whole lab.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    tools: Tools,
    /// netboot's peers at the ends of its links.
    links: Links,
    scratch: PathBuf,
    overlay: Overlay,
    netboot: Operator,
    /// The second instance, if there are two.
    other: OnceCell<Operator>,
}

/// What is served for HTTP boot to machines that are not Servers.
pub(crate) const DEFAULT_UKI: &str = "http://10.77.1.1:8082/default.efi";

impl Lab {
    /// Starts everything except the relay.
    pub(crate) async fn start(tools: Tools) -> Self {
        Self::start_with(tools, "").await.unwrap()
    }

    /// Starts everything except the relay, with further lines of the overlay.
    async fn start_with(tools: Tools, components: &str) -> Result<Self> {
        let cluster = Cluster::start().await?;
        let (scratch, site) = (cluster.scratch(), cluster.scratch().join("site"));
        fs::create_dir_all(&site)?;
        let text = format!("resources: [CONFIG/default]\n{components}");
        let overlay = Overlay::of_site("netboot", &site, &text, &[]).await?;
        cluster.apply(&overlay.yaml).await?;
        cluster.established().await?;
        let links = Links::new(&cluster).await?;
        let deployment = overlay.named("Deployment", "netboot")?;
        let netboot = pod(&cluster, &overlay, deployment, node(&tools, &scratch)).await?;
        let lab = Self { cluster, tools, links, scratch, overlay, netboot, other: OnceCell::new() };
        lab.write_database(BMCS)?;
        lab.configure("")?;
        lab.start_netboot().await?;
        Ok(lab)
    }

    /// Writes netboot's configuration, with these reservations on the near link.
    pub(crate) fn configure(&self, reservations: &str) -> Result<()> {
        Self::write_configuration(&self.scratch, "", reservations)
    }

    /// Writes netboot's MAC prefix database.
    fn write_database(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.scratch.join(DATABASE), text)?)
    }

    fn write_configuration(folder: &Path, sections: &str, reservations: &str) -> Result<()> {
        let text = format!(
            "{sections}boot: {{ http: '{DEFAULT_UKI}' }}\n\
             interfaces: [near, far]\n\
             subnets:\n\
             - subnet: 10.77.1.0/24\n  \
               bmc: true\n  \
               ranges: [10.77.1.100-10.77.1.199]\n  \
               reservations: [{reservations}]\n\
             - subnet: 10.77.2.0/24\n  \
               bmc: true\n  \
               relays: [10.77.9.2]\n  \
               ranges: [10.77.2.100-10.77.2.199]\n",
        );
        configure_netboot(folder, &text)
    }

    async fn start_netboot(&self) -> Result<()> {
        self.netboot.start()?;
        self.netboot.ready(LIMIT).await
    }

    /// An operator as the pod of its Deployment, whose files are in `folder`.
    async fn pod(&self, name: &str, folder: &Path) -> Result<Operator> {
        let deployment = self.overlay.named("Deployment", name)?;
        pod(&self.cluster, &self.overlay, deployment, node(&self.tools, folder)).await
    }

    /// Replaces the instance with two that share the links. If only one of them answers, it is the
    /// first.
    pub(crate) async fn start_two(&self, mode: &str) -> Result<()> {
        self.netboot.kill().await?;
        let folder = self.scratch.join(OTHER);
        let other = self.pod("netboot", &folder).await?;
        fs::copy(self.scratch.join(DATABASE), folder.join(DATABASE))?;
        for (part, folder) in [(1, &self.scratch), (2, &folder)] {
            let section = format!("instances: {{ mode: {mode}, part: {part} }}\n");
            Self::write_configuration(folder, &section, "")?;
        }
        self.start_netboot().await?;
        if mode == "standby" {
            eventually(LIMIT, async || {
                ensure!(self.log()?.contains("Leads"), "it does not lead: {}", self.log()?);
                Ok(())
            })
            .await?;
        }
        other.start()?;
        other.ready(LIMIT).await?;
        self.other.set(other).ok().context("there are two already")
    }

    /// Kills netboot, as `kill -9` does, without a replacement.
    pub(crate) async fn kill_netboot(&self) {
        self.netboot.kill().await.unwrap();
    }

    /// Stops netboot, as a pod is stopped.
    pub(crate) async fn stop_netboot(&self) -> Result<()> {
        self.netboot.terminate(LIMIT).await
    }

    /// The holder of the Lease that elects the instance that answers; empty if there is none.
    pub(crate) async fn leader(&self) -> Result<String> {
        let api = Api::<Lease>::namespaced(self.cluster.client().await?, NAMESPACE);
        let spec = api.get("netboot.bloomery.dev").await?.spec.unwrap_or_default();
        Ok(spec.holder_identity.unwrap_or_default())
    }

    /// Waits until the second instance leads.
    pub(crate) async fn until_the_other_leads(&self) -> Result<()> {
        eventually(LIMIT, async || {
            ensure!(self.other_log()?.contains("Leads"), "{}", self.other_log()?);
            Ok(())
        })
        .await
    }

    /// Starts the first instance again.
    pub(crate) async fn start_again(&self) {
        self.start_netboot().await.unwrap();
    }

    /// The log of the second instance.
    pub(crate) fn other_log(&self) -> Result<String> {
        self.other.get().context("there is one instance")?.printed()
    }

    /// The log of the first instance.
    pub(crate) fn log(&self) -> Result<String> {
        self.netboot.printed()
    }

    /// All DHCPLeases.
    pub(crate) async fn lease_objects(&self) -> Result<Vec<DhcpLease>> {
        let api = Api::<DhcpLease>::all(self.cluster.client().await?);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// netboot's lease file.
    pub(crate) fn lease_file(&self) -> Result<String> {
        Ok(fs::read_to_string(self.scratch.join("netboot/leases/leases"))?)
    }

    /// Kills netboot, as `kill -9` does, and starts it again.
    pub(crate) async fn restart_netboot(&self) {
        self.netboot.kill().await.unwrap();
        self.start_netboot().await.unwrap();
    }

    /// A client at the end of netboot's near link.
    pub(crate) fn near(&self, mac: &str) -> Client<'_> {
        self.client(&self.links.near, "near", mac)
    }

    /// A client behind the relay.
    pub(crate) fn behind(&self, mac: &str) -> Client<'_> {
        self.client(&self.links.behind, "behind", mac)
    }

    fn client<'a>(&self, network: &'a Network, interface: &'static str, mac: &str) -> Client<'a> {
        let folder = self.scratch.join(mac);
        Client::new(&folder, &self.tools.dhclient, network, interface, mac).unwrap()
    }

    /// Starts the relay.
    pub(crate) fn relay(&self) -> Process {
        self.links.start_relay(&self.tools.dhcrelay, &self.cluster).unwrap()
    }

    /// All Endpoints.
    pub(crate) async fn endpoints(&self) -> Result<Vec<Endpoint>> {
        let api = Api::<Endpoint>::all(self.cluster.client().await?);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// The Endpoint with this MAC address, spelled this way, once it has this address.
    pub(crate) async fn endpoint(&self, mac: &str, address: Ipv4Addr) -> ObjectMeta {
        let found = eventually(LIMIT, async || {
            let endpoints = self.endpoints().await?;
            let of_mac = |it: &&Endpoint| it.spec.mac_address.as_deref() == Some(mac);
            let endpoint = endpoints.iter().find(of_mac).context("not there")?;
            let ip = endpoint.spec.ip.as_deref();
            ensure!(ip == Some(address.to_string().as_str()), "has {ip:?}, not {address}");
            Ok(endpoint.metadata.clone())
        });
        let printed = || self.log().unwrap_or_default();
        found.await.with_context(|| format!("Endpoint of {mac}; netboot: {}", printed())).unwrap()
    }
}

fn node<'a>(tools: &'a Tools, folder: &'a Path) -> Node<'a> {
    Node { binaries: tools.server.parent(), ..Node::of_this_machine(folder) }
}
