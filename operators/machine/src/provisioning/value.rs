//! A Machine as templates see it: with the field names of the Go types of Azure/unbounded, and Go's zero values
//! for what is not set. Fields of missing pointers are nil, except for counters, which are 0.

pub(super) use metal_configuration::template::{object, text};

use gtmpl_ng::Value;
use jiff::Timestamp;
use metal_api::{
    Machine, MachineAgent, MachineDownload, MachineKeyReference, MachineKubernetes, MachineLease,
    MachinePxe, MachineSpec, MachineSsh, MachineStatus, MachineTargetDisk,
};
use metal_core::machine_identity::lease::mac;
use std::collections::{BTreeMap, HashMap};

/// The counters, as a template is to see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// `.Machine.Spec.Operations.RepaveCounter`.
    pub(super) wanted: i64,
    /// `.Machine.Status.Operations.RepaveCounter`.
    pub(super) done: i64,
}

/// `.Machine`.
pub(super) fn machine(machine: &Machine, counters: Counters) -> Value {
    let meta = &machine.metadata;
    let status = machine.status.clone().unwrap_or_default();
    let created = meta.creation_timestamp.as_ref().map(|time| time.0);
    object([
        ("Kind", text("Machine")),
        ("APIVersion", text("unbounded-cloud.io/v1alpha3")),
        ("Name", option(meta.name.as_deref())),
        // Machines are cluster-scoped.
        ("Namespace", text("")),
        ("UID", option(meta.uid.as_deref())),
        ("ResourceVersion", option(meta.resource_version.as_deref())),
        ("Generation", Value::from(meta.generation.unwrap_or_default())),
        (
            "CreationTimestamp",
            text(&created.as_ref().map_or_else(String::new, Timestamp::to_string)),
        ),
        ("Labels", map(meta.labels.as_ref())),
        ("Annotations", map(meta.annotations.as_ref())),
        ("Spec", spec(&machine.spec, counters.wanted)),
        ("Status", self::status(&status, counters.done)),
    ])
}

fn spec(spec: &MachineSpec, repave: i64) -> Value {
    let operations = spec.operations.clone().unwrap_or_default();
    object([
        ("SSH", spec.ssh.as_ref().map_or(Value::Nil, ssh)),
        ("PXE", spec.pxe.as_ref().map_or(Value::Nil, pxe)),
        ("Kubernetes", spec.kubernetes.as_ref().map_or(Value::Nil, kubernetes)),
        ("Agent", spec.agent.as_ref().map_or(Value::Nil, agent)),
        ("Operations", counters(operations.reboot_counter, repave)),
    ])
}

fn status(status: &MachineStatus, repave: i64) -> Value {
    let operations = status.operations.clone().unwrap_or_default();
    let conditions = status.conditions.iter().map(|it| {
        object([
            ("Type", text(&it.type_)),
            ("Status", text(&it.status)),
            ("Reason", text(&it.reason)),
            ("Message", text(&it.message)),
            ("ObservedGeneration", Value::from(it.observed_generation.unwrap_or_default())),
            ("LastTransitionTime", text(&it.last_transition_time.0.to_string())),
        ])
    });
    let one = |name, value: Option<&String>| object([(name, option(value.map(String::as_str)))]);
    object([
        ("Phase", text(status.phase.as_ref().map_or("", |phase| phase.as_str()))),
        ("Message", option(status.message.as_deref())),
        ("SSH", nil(status.ssh.as_ref(), |it| one("Fingerprint", it.fingerprint.as_ref()))),
        (
            "Redfish",
            nil(status.redfish.as_ref(), |it| one("CertFingerprint", it.cert_fingerprint.as_ref())),
        ),
        ("TPM", nil(status.tpm.as_ref(), |it| one("EKPublicKey", it.ek_public_key.as_ref()))),
        ("Agent", nil(status.agent.as_ref(), |it| one("Image", it.image.as_ref()))),
        ("Operations", counters(operations.reboot_counter, repave)),
        ("Conditions", Value::Array(conditions.collect())),
    ])
}

fn counters(reboot: Option<i64>, repave: i64) -> Value {
    object([
        ("RebootCounter", Value::from(reboot.unwrap_or_default())),
        ("RepaveCounter", Value::from(repave)),
    ])
}

fn ssh(ssh: &MachineSsh) -> Value {
    let bastion = |it: &metal_api::MachineBastion| {
        object([
            ("Host", text(&it.host)),
            ("Username", text(it.username.as_deref().unwrap_or("azureuser"))),
            ("PrivateKeyRef", nil(it.private_key_ref.as_ref(), key_reference)),
        ])
    };
    object([
        ("Host", text(&ssh.host)),
        ("Username", text(ssh.username.as_deref().unwrap_or("azureuser"))),
        ("PrivateKeyRef", key_reference(&ssh.private_key_ref)),
        ("Bastion", nil(ssh.bastion.as_ref(), bastion)),
    ])
}

fn pxe(pxe: &MachinePxe) -> Value {
    let redfish = |it: &metal_api::MachineRedfish| {
        object([
            ("URL", text(&it.url)),
            ("Username", text(&it.username)),
            ("DeviceID", text(it.device_id.as_deref().unwrap_or("1"))),
            ("PasswordRef", key_reference(&it.password_ref)),
        ])
    };
    let user_data = |it: &metal_api::MachineConfigMapReference| {
        object([
            ("Name", text(&it.name)),
            ("Namespace", text(&it.namespace)),
            ("Key", text(it.key.as_deref().unwrap_or("user-data"))),
        ])
    };
    let cloud_init = |it: &metal_api::MachineCloudInit| {
        object([("UserDataConfigMapRef", nil(it.user_data_config_map_ref.as_ref(), user_data))])
    };
    object([
        ("Image", text(&pxe.image)),
        ("DHCPLeases", Value::Array(pxe.dhcp_leases.iter().map(lease).collect())),
        ("Redfish", nil(pxe.redfish.as_ref(), redfish)),
        ("CloudInit", nil(pxe.cloud_init.as_ref(), cloud_init)),
        ("TargetDisk", nil(pxe.target_disk.as_ref(), target_disk)),
    ])
}

fn target_disk(disk: &MachineTargetDisk) -> Value {
    object([
        ("Serial", option(disk.serial.as_deref())),
        ("WWN", option(disk.wwn.as_deref())),
        ("MinSizeGiB", Value::from(disk.min_size_gib.unwrap_or_default())),
        ("MaxSizeGiB", Value::from(disk.max_size_gib.unwrap_or_default())),
        ("Rotational", disk.rotational.map_or(Value::Nil, Value::from)),
    ])
}

/// Its MAC address in the one form that everybody reads: netplan refuses hyphens.
fn lease(lease: &MachineLease) -> Value {
    let mac = mac(lease).map_or_else(|| lease.mac.clone(), |mac| mac.to_string());
    object([
        ("IPv4", text(&lease.ipv4)),
        ("MAC", text(&mac)),
        ("SubnetMask", text(&lease.subnet_mask)),
        ("Gateway", text(&lease.gateway)),
        ("DNS", Value::Array(lease.dns.iter().map(|it| text(it)).collect())),
    ])
}

fn kubernetes(kubernetes: &MachineKubernetes) -> Value {
    let named = |it: &metal_api::LocalObjectReference| object([("Name", text(&it.name))]);
    let taints = kubernetes.register_with_taints.iter().map(|it| text(it));
    object([
        ("Version", option(kubernetes.version.as_deref())),
        ("NodeRef", nil(kubernetes.node_ref.as_ref(), named)),
        ("NodeLabels", map(Some(&kubernetes.node_labels))),
        ("RegisterWithTaints", Value::Array(taints.collect())),
        ("BootstrapTokenRef", nil(kubernetes.bootstrap_token_ref.as_ref(), named)),
    ])
}

fn agent(agent: &MachineAgent) -> Value {
    let downloads = |it: &metal_api::MachineDownloads| {
        object([
            ("Kubernetes", nil(it.kubernetes.as_ref(), download)),
            ("Containerd", nil(it.containerd.as_ref(), download)),
            ("Runc", nil(it.runc.as_ref(), download)),
            ("CNI", nil(it.cni.as_ref(), download)),
            ("Crictl", nil(it.crictl.as_ref(), download)),
        ])
    };
    object([
        ("Image", option(agent.image.as_deref())),
        ("Version", option(agent.version.as_deref())),
        ("BaseURL", option(agent.base_url.as_deref())),
        ("URL", option(agent.url.as_deref())),
        ("Downloads", nil(agent.downloads.as_ref(), downloads)),
    ])
}

fn download(download: &MachineDownload) -> Value {
    object([
        ("BaseURL", option(download.base_url.as_deref())),
        ("URL", option(download.url.as_deref())),
        ("Version", option(download.version.as_deref())),
    ])
}

fn key_reference(reference: &MachineKeyReference) -> Value {
    object([
        ("Name", text(&reference.name)),
        ("Namespace", text(&reference.namespace)),
        ("Key", text(reference.key.as_deref().unwrap_or("ssh-privatekey"))),
    ])
}

/// A map: a missing key has no value.
fn map(entries: Option<&BTreeMap<String, String>>) -> Value {
    let entries = entries.into_iter().flatten();
    Value::Map(entries.map(|(key, it)| (key.clone(), text(it))).collect::<HashMap<_, _>>())
}

/// A pointer: dereferencing nil is an error.
fn nil<T>(pointer: Option<&T>, value: impl FnOnce(&T) -> Value) -> Value {
    pointer.map_or(Value::Nil, value)
}

fn option(text: Option<&str>) -> Value {
    self::text(text.unwrap_or_default())
}
