//! Machines that boot a URL of their own: Secrets in one namespace, and no other Secret.

use super::notices::{Notice, Notices};
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::{Client, Resource};
use metal_api::{MacAddr, Machine, MachinePxe, MachineSpec};
use metal_core::{
    boot::boot_url::{self, BootUrl, SECRET_TYPE},
    machine_identity::{Address, addresses},
};
use metal_runtime::{
    Absence, Selection, follow_fields, follow_if_served,
    index::{Change, Ended, Index},
};

/// Boot URLs, and the Machines of metalman that contradict them.
#[derive(Debug)]
pub(super) struct BootUrls {
    /// Where the Secrets are.
    namespace: String,
    pub(super) secrets: Index<Secret, MacAddr>,
    pub(super) machines: Index<Machine, MacAddr>,
}

/// What there is for one MAC address.
#[derive(Debug, Default)]
pub(super) struct FoundUrls {
    /// The URLs.
    pub(super) urls: Vec<BootUrl>,
    /// The Secrets and Machines.
    pub(super) about: Vec<ObjectReference>,
    /// How many of them are Machines.
    pub(super) machines: usize,
}

impl BootUrls {
    /// Those in a namespace.
    pub(super) fn of(namespace: String) -> Self {
        let secrets = Index::new(mac_of).trimmed(boot_url::prune);
        Self { namespace, secrets, machines: Index::new(macs_of).trimmed(prune) }
    }

    /// Watches them forever.
    ///
    /// # Errors
    ///
    /// When a watch ends, which it never should.
    pub(super) async fn follow(&self, client: &Client, notices: &Notices) -> Result<(), Ended> {
        let fields = format!("type={SECRET_TYPE}");
        let selection = Selection { namespace: &self.namespace, fields: &fields };
        let check = |change: Change<'_, Secret>| check(&change, notices);
        tokio::try_join!(
            follow_fields(client, &self.secrets, selection, check),
            follow_if_served(client, &self.machines, |_| {}, log_absence),
        )
        .map(drop)
    }

    /// What there is for a machine.
    pub(super) fn find(&self, mac: MacAddr) -> FoundUrls {
        let secrets = self.secrets.get(&mac);
        let machines = self.machines.get(&mac);
        let read = |secret| boot_url::read(secret).ok().map(|(_, url)| url);
        let about = secrets.iter().map(|secret| secret.object_ref(&()));
        FoundUrls {
            urls: secrets.iter().filter_map(|secret| read(secret)).collect(),
            about: about.chain(machines.iter().map(|machine| machine.object_ref(&()))).collect(),
            machines: machines.len(),
        }
    }
}

/// The MAC address in a Secret; none if the Secret cannot be used, which `check` reports.
fn mac_of(secret: &Secret) -> Vec<MacAddr> {
    boot_url::read(secret).ok().map(|(mac, _)| mac).into_iter().collect()
}

fn check(change: &Change<'_, Secret>, notices: &Notices) {
    let (about, note) = match change {
        Change::Applied { new, .. } => match boot_url::read(new) {
            Ok(_) => return,
            Err(error) => (new.object_ref(&()), error.to_string()),
        },
        // The reason might quote its content.
        Change::Unreadable { meta, .. } => {
            let secret = Secret { metadata: (*meta).clone(), ..Secret::default() };
            (secret.object_ref(&()), "it cannot be read, or is too large".to_owned())
        }
        Change::Removed(_) => return,
    };
    notices.add(|| Notice { about: vec![about], reason: "UnusableBootURL", note });
}

fn macs_of(machine: &Machine) -> Vec<MacAddr> {
    let mac = |address| match address {
        Address::Mac(mac) => Some(mac),
        Address::Ip(_) | Address::Uuid(_) => None,
    };
    addresses(machine).into_iter().filter_map(mac).collect()
}

/// Nothing but the addresses of Machines is looked at.
fn prune(machine: &mut Machine) {
    let pxe = machine.spec.pxe.take();
    let dhcp_leases = pxe.map(|pxe| pxe.dhcp_leases).unwrap_or_default();
    let pxe = Some(MachinePxe { dhcp_leases, ..MachinePxe::default() });
    machine.spec = MachineSpec { pxe, ..MachineSpec::default() };
    machine.status = None;
    metal_core::trim_metadata::trim(machine);
}

fn log_absence(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "may not list machines.unbounded-cloud.io: a boot URL of a machine that is also a Machine is \
             not noticed; apply config/boot-urls"
        ),
        Some(Absence::NotServed) | None => tracing::info!("there are no Machines"),
    }
}
