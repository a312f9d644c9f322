//! The cached state of the cluster: one watch per kind, with an index for lookups.

use crate::metal_servers;
use k8s_openapi::api::{
    certificates::v1::CertificateSigningRequest,
    core::v1::{Node, NodeSpec, NodeStatus, NodeSystemInfo},
};
use kube::{Client, Resource};
use metal_api::{
    MacAddr, Machine, MachinePxe, MachineSpec, MachineStatus, MachineTpmStatus, Server, SystemUuid,
};
use metal_attest::EndorsementKey;
use metal_core::machine_identity::{
    Address, Twin, addresses, addresses_of_server, hardware_addresses, servers_of, twins,
};
use metal_machine::{
    attest::{MachineLookupError, pinned, pinned_fingerprint, whose},
    csr,
    operations::{CORDONED_FOR, Hardware, hardware, shares_system},
    site,
};
use metal_runtime::{
    follow, follow_selected,
    health::Readiness,
    index::{Change, Ended, Index},
    queue::Queue,
};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};
use tokio::sync::Notify;

/// How many Machines a message names that share a system.
const SHARING: usize = 8;

/// All watched kinds.
#[derive(Debug)]
pub(crate) struct View {
    /// Machines of the site, by their addresses.
    pub(crate) machines: Index<Machine, Address>,
    /// Machines of all sites, by what two of them cannot both have, by the key of their TPM, and without a BMC also
    /// by the UUID that firmware has told; nothing else of them is kept.
    pub(crate) everywhere: Index<Machine, Hardware>,
    /// Nodes, by name; only the fields that tell whether they are ready, of which hardware they are, and for
    /// which Machine they are cordoned.
    pub(crate) nodes: Index<Node, ()>,
    /// Servers of the metal-operator, by the MAC addresses of their network interfaces, and by UUID.
    pub(crate) servers: Index<Server, Address>,
    /// CertificateSigningRequests of kubelets, by who waits for them.
    pub(crate) certificates: Index<CertificateSigningRequest, String>,
    /// Notified of every change of a Machine.
    changed: Notify,
}

impl Default for View {
    fn default() -> Self {
        Self {
            machines: Index::new(addresses),
            everywhere: Index::new(identified).trimmed(trim_machine),
            nodes: Index::new(|_: &Node| vec![]).trimmed(trim),
            servers: metal_servers::index(),
            certificates: Index::new(asker).trimmed(csr::trim),
            changed: Notify::new(),
        }
    }
}

/// What a Machine has, its key, and without a BMC the UUID that its firmware has told: a Server may have it as
/// well.
fn identified(machine: &Machine) -> Vec<Hardware> {
    let mut all = hardware(machine);
    for address in hardware_addresses(machine) {
        if let Address::Uuid(uuid) = address
            && !all.contains(&Hardware::System(uuid))
        {
            all.push(Hardware::System(uuid));
        }
    }
    let key = machine.status.as_ref().and_then(pinned_fingerprint);
    all.extend(key.map(Hardware::Key));
    all
}

fn asker(csr: &CertificateSigningRequest) -> Vec<String> {
    csr::waiting(csr).map(str::to_owned).into_iter().collect()
}

/// A Node has hundreds of images and labels.
fn trim(node: &mut Node) {
    let status = node.status.take().unwrap_or_default();
    let NodeStatus { mut addresses, mut conditions, node_info, .. } = status;
    let node_info = node_info
        .map(|it| NodeSystemInfo { system_uuid: it.system_uuid, ..NodeSystemInfo::default() });
    // Its kubelet may write anything there.
    if let Some(addresses) = &mut addresses {
        addresses.retain(|it| it.type_ == "InternalIP");
    }
    if let Some(conditions) = &mut conditions {
        conditions.retain(|it| it.type_ == "Ready");
        for it in conditions {
            (it.message, it.reason) = (None, None);
        }
    }
    node.status = Some(NodeStatus { addresses, conditions, node_info, ..NodeStatus::default() });
    let unschedulable = node.spec.take().and_then(|spec| spec.unschedulable);
    node.spec = Some(NodeSpec { unschedulable, ..NodeSpec::default() });
    node.metadata.labels = None;
    if let Some(annotations) = &mut node.metadata.annotations {
        annotations.retain(|key, _| key == CORDONED_FOR);
    }
    node.metadata.managed_fields = None;
}

/// Only what tells that two Machines are the same hardware.
fn trim_machine(machine: &mut Machine) {
    let pxe = machine.spec.pxe.take();
    let pxe = pxe.map(|MachinePxe { dhcp_leases, redfish, .. }| MachinePxe {
        dhcp_leases,
        redfish,
        ..MachinePxe::default()
    });
    machine.spec = MachineSpec { pxe, ..MachineSpec::default() };
    let MachineStatus { redfish, system_uuid, tpm, .. } = machine.status.take().unwrap_or_default();
    let tpm = tpm.map(|MachineTpmStatus { ek_public_key, .. }| MachineTpmStatus {
        ek_public_key,
        ..MachineTpmStatus::default()
    });
    machine.status = Some(MachineStatus { redfish, system_uuid, tpm, ..MachineStatus::default() });
    machine.metadata.annotations = None;
    machine.metadata.labels = None;
    machine.metadata.managed_fields = None;
}

impl View {
    /// Whether all Machines and Nodes have been listed; until then a miss means nothing. Power
    /// actions also wait for the list of Servers.
    pub(crate) fn is_ready(&self) -> bool {
        self.machines.is_ready() && self.everywhere.is_ready() && self.nodes.is_ready()
    }

    /// Waits for the next change of a Machine.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits for lists that arrived after the last doubt.
    pub(crate) async fn listed(&self) {
        let (machines, nodes) = (self.machines.listed(), self.nodes.listed());
        let (servers, certificates) = (self.servers.listed(), self.certificates.listed());
        tokio::join!(machines, self.everywhere.listed(), nodes, servers, certificates);
    }

    /// The content may be outdated.
    pub(crate) fn doubt(&self) {
        self.machines.doubt();
        self.everywhere.doubt();
        self.nodes.doubt();
        self.servers.doubt();
        self.certificates.doubt();
    }

    /// Registers the lists that the process waits for.
    pub(crate) fn register(self: &Arc<Self>, readiness: &Readiness) {
        let (machines, nodes) = (Arc::clone(self), Arc::clone(self));
        let (servers, certificates) = (Arc::clone(self), Arc::clone(self));
        let are_listed = move || machines.machines.is_ready() && machines.everywhere.is_ready();
        readiness.check("machines", "the list of Machines", are_listed);
        readiness.check("nodes", "the list of Nodes", move || nodes.nodes.is_ready());
        readiness.check("servers", "the list of Servers", move || servers.servers.is_ready());
        let what = "the list of CertificateSigningRequests";
        readiness.check("certificates", what, move || certificates.certificates.is_ready());
    }

    /// Other Machines and Servers that share an address with this one. With any of them its power is
    /// left alone, and it is not installed.
    pub(crate) fn twins(&self, machine: &Machine) -> Vec<Twin> {
        let mut twins = self.machines_like(machine);
        twins.extend(self.servers_like(machine));
        twins
    }

    /// Other Machines that share an address with this one. A Machine with any of them is not known by
    /// its addresses.
    fn machines_like(&self, machine: &Machine) -> Vec<Twin> {
        twins(machine, |address| {
            let mut holders = self.machines.get(&address);
            // An IP address may be another one in the network of another site.
            if let Address::Mac(mac) = address {
                holders.extend(self.everywhere.get(&Hardware::Mac(mac)));
                holders.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
                holders.dedup_by(|a, b| a.metadata.name == b.metadata.name);
            }
            holders
        })
    }

    /// Names of other Machines, of whatever site, with the same system of a BMC.
    pub(crate) fn sharing(&self, machine: &Machine) -> Vec<String> {
        let others = hardware(machine).into_iter().flat_map(|it| self.everywhere.get(&it));
        let others = others.filter(|other| {
            other.metadata.uid != machine.metadata.uid && shares_system(machine, other)
        });
        let names: BTreeSet<_> = others.filter_map(|it| it.metadata.name.clone()).collect();
        names.into_iter().take(SHARING).collect()
    }

    /// Servers that are the hardware of this Machine.
    pub(crate) fn servers_like(&self, machine: &Machine) -> Vec<Twin> {
        servers_of(machine, |address| self.servers.get(&address))
    }

    /// The only Machine with this IP address.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub(crate) fn machine_at(&self, address: IpAddr) -> Result<Arc<Machine>, MachineLookupError> {
        let IpAddr::V4(address) = address.to_canonical() else {
            return Err(MachineLookupError::Unknown);
        };
        let holders = self.machines.get(&Address::Ip(address));
        whose(&holders, |machine| !self.machines_like(machine).is_empty()).cloned()
    }

    /// The only Machine with this MAC address.
    ///
    /// # Errors
    ///
    /// If there is none, or more than one.
    pub(crate) fn machine_with(&self, mac: MacAddr) -> Result<Arc<Machine>, MachineLookupError> {
        let holders = self.machines.get(&Address::Mac(mac));
        whose(&holders, |machine| !self.machines_like(machine).is_empty()).cloned()
    }

    /// Whether there is a Machine with this MAC address.
    pub(crate) fn knows(&self, mac: MacAddr) -> bool {
        !self.machines.get(&Address::Mac(mac)).is_empty()
    }

    /// Watches all kinds, and wakes the Machines that are affected by a change.
    ///
    /// # Errors
    ///
    /// When a watch ends, which it never should.
    pub(crate) async fn watch(
        &self,
        client: &Client,
        site: Option<&str>,
        queue: &Queue<String>,
        certificates: &Queue<String>,
    ) -> Result<(), Ended> {
        let selector = site::selector(site);
        tokio::try_join!(
            follow_selected(client, &self.machines, &selector, |change| self.wake(&change, queue)),
            follow(client, &self.everywhere, |change| self.wake_like(&change, queue)),
            follow(client, &self.nodes, |change| wake_same(&change, queue)),
            async {
                let wake = |change: Change<'_, Server>| self.wake_machines(&change, queue);
                metal_servers::follow(client, &self.servers, wake).await
            },
            follow(client, &self.certificates, |change| {
                self.wake_asker(&change, queue);
                wake_same(&change, certificates);
            }),
        )
        .map(drop)
    }

    /// Name of another Machine, of whatever site, for which this endorsement key is pinned, unless it is that of
    /// this one. Pins of the site count as soon as they are written here, those of others when they are seen.
    pub(crate) fn holder_of(&self, machine: &Machine, key: &EndorsementKey) -> Option<String> {
        let has_it = |it: &Machine| {
            let pinned = it.status.as_ref().and_then(pinned);
            pinned.is_some_and(|pem| key.is_in(pem) == Ok(true))
        };
        if has_it(machine) {
            return None;
        }
        let mut all = self.machines.all();
        all.retain(|it| has_it(it));
        all.extend(self.everywhere.get(&Hardware::Key(key.fingerprint())));
        let other = all.iter().find(|it| it.metadata.uid != machine.metadata.uid);
        other.and_then(|it| it.metadata.name.clone())
    }

    /// Whether hardware with this UUID is known to be another's than this Machine's.
    pub(crate) fn is_of_another(&self, machine: &Machine, uuid: SystemUuid) -> bool {
        let address = Address::Uuid(uuid.canonical());
        let is_other = |it: &Arc<Machine>| it.metadata.uid != machine.metadata.uid;
        self.machines.get(&address).iter().any(is_other) || !self.servers.get(&address).is_empty()
    }

    /// All Machines of the site.
    pub(crate) fn wake_all(&self, queue: &Queue<String>) {
        for machine in self.machines.all() {
            queue.add(machine.metadata.name.clone().unwrap_or_default());
        }
    }

    /// Machines of the site that have something in common with one, now or before the change.
    fn wake_like(&self, change: &Change<'_, Machine>, queue: &Queue<String>) {
        for it in change.objects().flat_map(|machine| hardware(machine)) {
            self.wake_holders(&it, queue);
        }
    }

    /// Machines of the site that have it.
    fn wake_holders(&self, hardware: &Hardware, queue: &Queue<String>) {
        for holder in self.everywhere.get(hardware) {
            let name = holder.metadata.name.as_deref().unwrap_or_default();
            if self.machines.named(None, name).is_some() {
                queue.add(name.to_owned());
            }
        }
    }

    /// The Machine that may wait for a certificate, or no longer does.
    fn wake_asker(&self, change: &Change<'_, CertificateSigningRequest>, queue: &Queue<String>) {
        let users = change.objects().filter_map(|csr| csr.spec.username.as_deref());
        for name in users.filter_map(csr::machine_of) {
            if self.machines.named(None, name).is_some() {
                queue.add(name.to_owned());
            }
        }
    }

    /// Whether a machine waits for its first certificate.
    pub(crate) fn asks(&self, name: &str, namespace: &str) -> bool {
        !self.certificates.get(&csr::user(namespace, name)).is_empty()
    }

    /// Machines that are the hardware of a Server, now or before the change.
    fn wake_machines(&self, change: &Change<'_, Server>, queue: &Queue<String>) {
        for address in change.objects().flat_map(|server| addresses_of_server(server)) {
            if let Address::Uuid(uuid) = address {
                self.wake_holders(&Hardware::System(uuid), queue);
            }
            for machine in self.machines.get(&address) {
                queue.add(machine.metadata.name.clone().unwrap_or_default());
            }
        }
    }

    /// The Machine, and those that share an address with it, now or before the change.
    fn wake(&self, change: &Change<'_, Machine>, queue: &Queue<String>) {
        self.changed.notify_one();
        if let Change::Unreadable { meta, error, .. } = change {
            let name = meta.name.as_deref();
            tracing::warn!(name, error, "ignoring a Machine that could not be parsed");
        }
        if let Change::Applied { new, .. } = change {
            queue.add(new.metadata.name.clone().unwrap_or_default());
        }
        for address in change.objects().flat_map(|machine| addresses(machine)) {
            for machine in self.machines.get(&address) {
                queue.add(machine.metadata.name.clone().unwrap_or_default());
            }
        }
    }
}

/// The name of the object, as a set.
fn wake_same<K: Resource>(change: &Change<'_, K>, queue: &Queue<String>) {
    let name = match change {
        Change::Applied { new: object, .. } | Change::Removed(object) => object.meta().name.clone(),
        Change::Unreadable { meta, .. } => meta.name.clone(),
    };
    queue.add(name.unwrap_or_default());
}

#[cfg(test)]
mod tests;
