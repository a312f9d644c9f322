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
    cluster::{Cluster, Process, eventually, workspace},
    namespace::{Links, Network},
    stack,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{ListParams, ObjectMeta},
};
use metal_api::{DhcpLease, Endpoint};
use std::{cell::RefCell, fs, net::Ipv4Addr, path::PathBuf, time::Duration};

const LIMIT: Duration = Duration::from_mins(1);
/// The namespace in which netboot would run, according to `bases`.
const NAMESPACE: &str = "metal-operator-system";
/// The MAC prefix database, as somebody might write it for a fleet.
const BMCS: &str =
    "macPrefixes: [{ macPrefix: '02:BB:CC', protocol: Redfish, port: 443, type: bmc }]";

/// The account of every BMC, and the port that it listens on.
pub(crate) const USER: &str = "root";
pub(crate) const PASSWORD: &str = "calvin";
pub(crate) const REDFISH: u16 = 8000;

/// The whole lab.
pub(crate) struct Lab {
    pub(crate) cluster: Cluster,
    tools: Tools,
    /// netboot's peers at the ends of its links.
    links: Links,
    scratch: PathBuf,
    account: PathBuf,
    netboot: RefCell<Option<Process>>,
    /// The second instance, if there are two.
    other: RefCell<Option<Process>>,
    /// Further flags of netboot.
    flags: RefCell<Vec<String>>,
}

/// What is served for HTTP boot to machines that are not Servers.
pub(crate) const DEFAULT_UKI: &str = "http://10.77.1.1:8082/default.efi";

impl Lab {
    /// Starts everything except the relay.
    pub(crate) async fn start(tools: Tools) -> Self {
        Self::try_start(tools).await.unwrap()
    }

    async fn try_start(tools: Tools) -> Result<Self> {
        let cluster = Cluster::start().await?;
        cluster.install().await?;
        cluster.kubectl(&["create", "namespace", NAMESPACE]).await?;
        let rbac = workspace().join("bases/rbac");
        let rbac = rbac.to_str().context("a path of the workspace is text")?;
        cluster.kubectl(&["apply", "--server-side", "-k", rbac]).await?;
        let account = cluster.service_account_kubeconfig(NAMESPACE, "netboot").await?;
        let links = Links::new(&cluster).await?;
        let scratch = cluster.scratch();
        fs::write(scratch.join("macdb.yaml"), BMCS)?;
        let (netboot, other, flags) = <(RefCell<_>, RefCell<_>, RefCell<_>)>::default();
        let lab = Self { cluster, tools, links, scratch, account, netboot, other, flags };
        lab.configure("")?;
        lab.start_netboot().await?;
        Ok(lab)
    }

    /// Writes netboot's configuration, with these reservations on the near link.
    pub(crate) fn configure(&self, reservations: &str) -> Result<()> {
        self.write_configuration("netboot", "", reservations)
    }

    fn write_configuration(&self, name: &str, sections: &str, reservations: &str) -> Result<()> {
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
        let file = |end: &str| self.scratch.join(format!("{name}.{end}"));
        let (new, file) = (file("new"), file("yaml"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, file)?)
    }

    async fn start_netboot(&self) -> Result<()> {
        let process = self.start_instance("netboot", "leases", stack::NETBOOT_HEALTH).await?;
        self.netboot.replace(Some(process));
        Ok(())
    }

    /// Replaces the instance with two that share the links. If only one of them answers, it is the
    /// first.
    pub(crate) async fn start_two(&self, mode: &str) -> Result<()> {
        let netboot = self.netboot.take();
        netboot.context("there is none")?.kill().await?;
        for (part, name) in [(1, "netboot"), (2, "other")] {
            let section = format!("instances: {{ mode: {mode}, part: {part} }}\n");
            self.write_configuration(name, &section, "")?;
        }
        self.start_netboot().await?;
        if mode == "standby" {
            eventually(LIMIT, async || {
                ensure!(self.log()?.contains("Leads"), "it does not lead: {}", self.log()?);
                Ok(())
            })
            .await?;
        }
        let other = self.start_instance("other", "other-leases", "127.0.0.1:8082").await?;
        self.other.replace(Some(other));
        Ok(())
    }

    /// Kills netboot, as `kill -9` does, without a replacement.
    pub(crate) async fn kill_netboot(&self) {
        let netboot = self.netboot.take();
        netboot.unwrap().kill().await.unwrap();
    }

    /// Stops netboot, as a pod is stopped.
    pub(crate) async fn stop_netboot(&self) -> Result<()> {
        self.netboot.take().context("there is none")?.terminate(LIMIT).await
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
        Ok(fs::read_to_string(self.scratch.join("other.log"))?)
    }

    /// The log of the first instance.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.scratch.join("netboot.log"))?)
    }

    /// All DHCPLeases.
    pub(crate) async fn lease_objects(&self) -> Result<Vec<DhcpLease>> {
        let api = Api::<DhcpLease>::all(self.cluster.client().await?);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    async fn start_instance(&self, name: &str, leases: &str, health: &str) -> Result<Process> {
        let file = |flag, name| format!("--{flag}={}", self.scratch.join(name).display());
        let own = [
            file("mac-prefixes-file", "macdb.yaml"),
            file("lease-file", leases),
            format!("--leader-elect-namespace={NAMESPACE}"),
            format!("--kubeconfig={}", self.account.display()),
        ];
        let flags = [&own[..], &self.flags.borrow()].concat();
        stack::netboot_as(name, health, &self.tools.server, &self.scratch, &flags).await
    }

    /// netboot's lease file.
    pub(crate) fn lease_file(&self) -> Result<String> {
        Ok(fs::read_to_string(self.scratch.join("leases"))?)
    }

    /// Kills netboot, as `kill -9` does, and starts it again.
    pub(crate) async fn restart_netboot(&self) {
        let netboot = self.netboot.take();
        netboot.unwrap().kill().await.unwrap();
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
        let printed = || fs::read_to_string(self.scratch.join("netboot.log")).unwrap_or_default();
        found.await.with_context(|| format!("Endpoint of {mac}; netboot: {}", printed())).unwrap()
    }
}
