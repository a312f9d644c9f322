//! The boot configs of a boot configuration: what they should be, and what they are.

use super::{PxeUrls, Uki};
use crate::ownership::{controller, is_controlled_by, owned_by};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use metal_api::{
    HttpBootConfig, HttpBootConfigSpec, IpxeBootConfig, IpxeBootConfigSpec, MacAddr, Server,
    ServerBootConfiguration, annotation,
};
use std::{collections::BTreeMap, net::IpAddr};

/// The relation of a boot config with the name of the boot configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relation<'a> {
    /// There is none.
    Absent,
    /// It is ours, or has no owner.
    Ours,
    /// It is being deleted, or belongs to an earlier boot configuration of the same name, with
    /// which it will be deleted.
    Leaving,
    /// It belongs to something else: kind and name.
    Foreign(&'a OwnerReference),
}

pub(super) fn relation<'a>(
    meta: Option<&'a ObjectMeta>,
    configuration: &ServerBootConfiguration,
) -> Relation<'a> {
    let Some(meta) = meta else { return Relation::Absent };
    if meta.deletion_timestamp.is_some() {
        return Relation::Leaving;
    }
    match controller(meta) {
        None => Relation::Ours,
        Some(_) if is_controlled_by(meta, configuration) => Relation::Ours,
        Some(owner) if is_of_name(owner, configuration) => Relation::Leaving,
        Some(owner) => Relation::Foreign(owner),
    }
}

/// Whether an owner is a boot configuration with the name of this one, of which there is one at a time.
fn is_of_name(owner: &OwnerReference, configuration: &ServerBootConfiguration) -> bool {
    owner.kind == ServerBootConfiguration::kind(&())
        && Some(&owner.name) == configuration.metadata.name.as_ref()
}

/// The fields in the spec of an IPXEBootConfig that we do not set, and that others may have set.
pub const SHARED: [&str; 3] = ["image", "ipxeServerURL", "ipxeScriptSecretRef"];

/// The IPXEBootConfig to apply; `None` if the existing one is up to date.
pub(super) fn ipxe(
    configuration: &ServerBootConfiguration,
    server: &Server,
    urls: &PxeUrls,
    there: Option<&IpxeBootConfig>,
) -> Option<IpxeBootConfig> {
    let ours = IpxeBootConfigSpec {
        system_uuid: server.spec.effective_uuid().map(|uuid| uuid.to_string()),
        system_ips: system_ips(server),
        kernel_url: urls.kernel.clone(),
        initrd_url: urls.initrd.clone(),
        squashfs_url: urls.squashfs.clone(),
        ignition_secret_ref: configuration.spec.ignition_secret_ref.clone(),
        ..IpxeBootConfigSpec::default()
    };
    // The fields in SHARED.
    let is_there = there.is_some_and(|there| {
        is_controlled_by(&there.metadata, configuration)
            && there.spec
                == IpxeBootConfigSpec {
                    image: there.spec.image.clone(),
                    ipxe_server_url: there.spec.ipxe_server_url.clone(),
                    ipxe_script_secret_ref: there.spec.ipxe_script_secret_ref.clone(),
                    ..ours.clone()
                }
    });
    let mut config = IpxeBootConfig::new("", ours);
    config.metadata = metadata(configuration);
    (!is_there).then_some(config)
}

/// The HTTPBootConfig to apply; `None` if the existing one is up to date.
pub(super) fn http(
    configuration: &ServerBootConfiguration,
    server: &Server,
    uki: &Uki,
    there: Option<&HttpBootConfig>,
) -> Option<HttpBootConfig> {
    let ours = HttpBootConfigSpec {
        system_uuid: server.spec.effective_uuid().map(|uuid| uuid.to_string()),
        network_identifiers: network_identifiers(server),
        uki_url: Some(uki.url.clone()),
        ignition_secret_ref: configuration.spec.ignition_secret_ref.clone(),
    };
    let is_there = there.is_some_and(|there| {
        is_controlled_by(&there.metadata, configuration)
            && there.spec == ours
            && manifest(there) == uki.manifest.as_ref()
    });
    let mut config = HttpBootConfig::new("", ours);
    config.metadata = metadata(configuration);
    let manifest = uki.manifest.clone().map(|digest| (annotation::IMAGE_DIGEST.to_owned(), digest));
    config.metadata.annotations = manifest.map(|entry| BTreeMap::from([entry]));
    (!is_there).then_some(config)
}

/// Digest of the manifest that the UKI of a boot config was found in.
pub fn manifest(config: &HttpBootConfig) -> Option<&String> {
    config.metadata.annotations.as_ref()?.get(annotation::IMAGE_DIGEST)
}

/// Named like the boot configuration, and deleted before it with foreground deletion.
fn metadata(configuration: &ServerBootConfiguration) -> ObjectMeta {
    ObjectMeta {
        name: configuration.metadata.name.clone(),
        namespace: configuration.metadata.namespace.clone(),
        owner_references: owned_by(configuration),
        ..ObjectMeta::default()
    }
}

/// The IP addresses of a server.
fn system_ips(server: &Server) -> Vec<String> {
    let mut all = vec![];
    for interface in server.status.iter().flat_map(|status| &status.network_interfaces) {
        addresses(interface, &mut all);
    }
    all
}

/// The IP and MAC addresses of a server, interface by interface, except link-local addresses: they
/// are not unique, as on the interface between host and BMC.
pub fn network_identifiers(server: &Server) -> Vec<String> {
    let mut all = vec![];
    for interface in server.status.iter().flat_map(|status| &status.network_interfaces) {
        addresses(interface, &mut all);
        if let Ok(mac) = interface.mac_address.parse::<MacAddr>() {
            push(&mut all, mac.to_string());
        }
    }
    all
}

fn addresses(interface: &metal_api::NetworkInterface, all: &mut Vec<String>) {
    let one = interface.ip.iter().filter(|_| interface.ips.is_empty());
    for text in interface.ips.iter().chain(one) {
        // Some agents append the prefix length.
        let address = text.split('/').next().unwrap_or_default();
        if address.parse().is_ok_and(is_of_one_machine) {
            push(all, address.to_owned());
        }
    }
}

fn push(all: &mut Vec<String>, text: String) {
    if !all.contains(&text) {
        all.push(text);
    }
}

fn is_of_one_machine(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !(link_local || address.is_loopback() || address.is_unspecified() || address.is_multicast())
}
