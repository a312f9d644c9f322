//! What the two kinds of boot configs have in common.

use crate::{
    blob_refs::{BlobRef, blobs},
    config_ref::{ConfigRef, Kind, named},
    view::{ConfigKey, View},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, api::ObjectMeta, core::NamespaceResourceScope};
use metal_api::{
    BootState, HttpBootConfig, HttpBootConfigStatus, IpxeBootConfig, IpxeBootConfigStatus,
    LocalObjectReference, ServerBootConfiguration, SystemUuid,
};
use metal_core::{
    boot::config::Status,
    unsupported::{on_config, on_ipxe},
};
use metal_runtime::index::Index;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// What the two kinds have in common.
pub(crate) trait BootConfig:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    /// Which of the two this is.
    const KIND: Kind;
    /// `status`.
    type Status: Serialize + Debug + Send + Sync;

    /// The index with objects of this kind.
    fn index(view: &View) -> &Index<Self, ConfigKey>;
    /// `spec.systemUUID`.
    fn system_uuid(&self) -> Option<&str>;
    /// The same, if it identifies a machine.
    fn uuid(&self) -> Option<SystemUuid> {
        self.system_uuid()?.parse().ok()
    }
    /// What has no effect on it: lines for an event.
    fn unsupported(&self) -> Vec<String>;
    /// The addresses of the machine: `spec.networkIdentifiers`, or `spec.systemIPs`.
    fn addresses(&self) -> &[String];
    /// `spec.ignitionSecretRef`.
    fn ignition(&self) -> Option<&LocalObjectReference>;
    /// `spec.ipxeScriptSecretRef`, for the kind that has it.
    fn script(&self) -> Option<&LocalObjectReference>;
    /// `status.state`.
    fn state(&self) -> Option<&BootState>;
    /// `status.conditions`.
    fn conditions(&self) -> &[Condition];
    /// The layers that it refers to.
    fn blobs(&self) -> Vec<BlobRef>;
    /// Our part of the status, in the type of this kind.
    fn status(status: Status) -> Self::Status;

    /// Identifies it among the boot configs of both kinds.
    fn config_ref(&self) -> ConfigRef {
        ConfigRef::new(Self::KIND, named(self))
    }
}

impl BootConfig for IpxeBootConfig {
    const KIND: Kind = Kind::Ipxe;
    type Status = IpxeBootConfigStatus;

    fn index(view: &View) -> &Index<Self, ConfigKey> {
        &view.ipxe
    }

    fn system_uuid(&self) -> Option<&str> {
        self.spec.system_uuid.as_deref()
    }

    fn unsupported(&self) -> Vec<String> {
        on_ipxe(self)
    }

    fn addresses(&self) -> &[String] {
        &self.spec.system_ips
    }

    fn ignition(&self) -> Option<&LocalObjectReference> {
        self.spec.ignition_secret_ref.as_ref()
    }

    fn script(&self) -> Option<&LocalObjectReference> {
        self.spec.ipxe_script_secret_ref.as_ref()
    }

    fn state(&self) -> Option<&BootState> {
        self.status.as_ref()?.state.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn blobs(&self) -> Vec<BlobRef> {
        let spec = &self.spec;
        let urls = [Some(&spec.kernel_url), Some(&spec.initrd_url), spec.squashfs_url.as_ref()];
        blobs(urls.into_iter().flatten().map(String::as_str))
    }

    fn status(status: Status) -> Self::Status {
        IpxeBootConfigStatus { state: Some(status.state), conditions: status.conditions }
    }
}

impl BootConfig for HttpBootConfig {
    const KIND: Kind = Kind::Http;
    type Status = HttpBootConfigStatus;

    fn index(view: &View) -> &Index<Self, ConfigKey> {
        &view.http
    }

    fn system_uuid(&self) -> Option<&str> {
        self.spec.system_uuid.as_deref()
    }

    fn unsupported(&self) -> Vec<String> {
        on_config(&self.metadata)
    }

    fn addresses(&self) -> &[String] {
        &self.spec.network_identifiers
    }

    fn ignition(&self) -> Option<&LocalObjectReference> {
        self.spec.ignition_secret_ref.as_ref()
    }

    fn script(&self) -> Option<&LocalObjectReference> {
        None
    }

    fn state(&self) -> Option<&BootState> {
        self.status.as_ref()?.state.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn blobs(&self) -> Vec<BlobRef> {
        blobs(self.spec.uki_url.as_deref())
    }

    fn status(status: Status) -> Self::Status {
        HttpBootConfigStatus { state: Some(status.state), conditions: status.conditions }
    }
}

/// Name and UID of the ServerBootConfiguration that an object belongs to.
pub(crate) fn owner(meta: &ObjectMeta) -> Option<(&str, &str)> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let is_ours = |kind: &str, version: &str| {
        kind == ServerBootConfiguration::kind(&())
            && version.split('/').next() == Some(&*ServerBootConfiguration::group(&()))
    };
    let owner = owners.iter().find(|owner| is_ours(&owner.kind, &owner.api_version))?;
    Some((&owner.name, &owner.uid))
}
