//! What Machines are made of, and what their status says.

use super::PASSWORDS;
use metal_api::{
    MachineKeyReference, MachineLease, MachinePhase, MachinePxe, MachineRedfish, MachineStatus,
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::{Ipv4Addr, SocketAddr},
};

/// The account of every simulated BMC.
pub(super) const ACCOUNT: (&str, &str) = ("foo", "bar");

/// What boots by the network at this address, with an image that is nowhere.
pub fn pxe(name: &str, address: Ipv4Addr) -> MachinePxe {
    // Machines of all sites need different ones.
    let mut hasher = DefaultHasher::new();
    (name, address).hash(&mut hasher);
    let [one, two, three, four, five, ..] = hasher.finish().to_be_bytes();
    let lease = MachineLease {
        ipv4: address.to_string(),
        mac: format!("02:{one:02x}:{two:02x}:{three:02x}:{four:02x}:{five:02x}"),
        subnet_mask: "255.0.0.0".to_owned(),
        ..MachineLease::default()
    };
    let (image, dhcp_leases) = ("registry.example/image:1".to_owned(), vec![lease]);
    MachinePxe { image, dhcp_leases, ..MachinePxe::default() }
}

/// A simulated BMC, whose password is in this Secret.
pub fn redfish(bmc: SocketAddr, secret: &str) -> MachineRedfish {
    MachineRedfish {
        url: format!("https://{bmc}"),
        username: ACCOUNT.0.to_owned(),
        password_ref: MachineKeyReference {
            name: secret.to_owned(),
            namespace: PASSWORDS.to_owned(),
            key: Some("password".to_owned()),
        },
        ..MachineRedfish::default()
    }
}

/// Reason of a condition.
pub fn condition<'a>(status: &'a MachineStatus, type_: &str) -> Option<&'a str> {
    status.conditions.iter().find(|it| it.type_ == type_).map(|it| it.reason.as_str())
}

/// Reboots and installations that were done.
pub fn done(status: &MachineStatus) -> (i64, i64) {
    let done = status.operations.clone().unwrap_or_default();
    (done.reboot_counter.unwrap_or(0), done.repave_counter.unwrap_or(0))
}

/// Whether its installer has said that the disk is written.
pub fn is_installed(status: &MachineStatus) -> bool {
    condition(status, "Repaved") == Some("Succeeded")
}

/// Whether it has shown its TPM.
pub fn has_attested(status: &MachineStatus) -> bool {
    status.tpm.as_ref().is_some_and(|it| it.ek_public_key.is_some())
}

/// Whether it is a node that is ready.
pub fn is_ready(status: &MachineStatus) -> bool {
    status.phase == Some(MachinePhase::Ready)
}
