//! Well-known annotation and label keys, and the operations that can be requested by annotation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Requests an [`Operation`].
pub const OPERATION: &str = "metal.ironcore.dev/operation";
/// On a Server: [`TRUE`] while it is parked.
pub const PARKED: &str = "metal.ironcore.dev/parked";
/// On a ServerBootConfiguration: [`INTERNAL`] if it belongs to a discovery.
pub const TYPE: &str = "metal.ironcore.dev/type";
/// On a ServerBootConfiguration: [`TRUE`] if its image is the operator's default.
pub const IS_DEFAULT_OS_IMAGE: &str = "metal.ironcore.dev/is-default-os-image";
/// On a ServerMaintenance: the reason, in free text.
pub const MAINTENANCE_REASON: &str = "metal.ironcore.dev/maintenance-reason";
/// On a ServerMaintenance: the reason, under the key that its printed column reads.
pub const REASON: &str = "metal.ironcore.dev/reason";

/// On a discovery's ServerBootConfiguration: the number of the attempt that its keys belong to.
pub const DISCOVERY_ATTEMPT: &str = "bloomery.dev/discovery-attempt";
/// On a Server or a ServerBootConfiguration: how it boots, as `http`, `ipxe`,
/// `network-always`, `virtual-media`, `disk` or `none`.
pub const BOOT_METHOD: &str = "bloomery.dev/boot-method";
/// On an HTTPBootConfig: the digest of the manifest that its UKI was found in. The tag of the image may
/// stand for another one by now.
pub const IMAGE_DIGEST: &str = "bloomery.dev/image-digest";

/// Kubernetes' label for the program that made an object, and may remove it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// On an Endpoint: where else DHCP has seen its BMC, and why that is not trusted.
pub const ADDRESS_CONFLICT: &str = "bloomery.dev/address-conflict";
/// On a BMC: the one new address that a person vouches for; used once.
pub const ACCEPT_ADDRESS: &str = "bloomery.dev/accept-address";
/// On a BMCSecret: the address of the BMC that these credentials belong to.
pub const KNOWN_ADDRESS: &str = "bloomery.dev/known-address";
/// On a BMCSecret: since when it has held these credentials, if they were made for a new BMC.
pub const KNOWN_SINCE: &str = "bloomery.dev/known-since";
/// On a BMCSecret: the certificate of the BMC that these credentials belong to.
pub const KNOWN_CERTIFICATE: &str = "bloomery.dev/known-certificate";

/// Prefix on a BMCSecret whose credentials may belong to several BMCs, followed by the name of one
/// of them; the value is its address.
pub const KNOWN_ADDRESS_OF: &str = "bloomery.dev/known-address.";
/// Prefix on a BMCSecret whose credentials may belong to several BMCs, followed by the address and
/// port of one of them; the value is its certificate.
pub const KNOWN_CERTIFICATE_AT: &str = "bloomery.dev/known-certificate.";

/// On a Machine, a BMC, or a Server with `spec.bmc`: the one new certificate of its BMC that a
/// person vouches for, once, as the field of the status would have it to which the BMC is pinned.
pub const ACCEPT_CERTIFICATE: &str = "bloomery.dev/accept-certificate";
/// On a Machine: the SHA-256 of the one new endorsement key of its TPM that a person vouches for, once.
pub const ACCEPT_ENDORSEMENT_KEY: &str = "bloomery.dev/accept-endorsement-key";
/// On a Machine: the UUID of the one other system of its BMC that a person vouches for, once.
pub const ACCEPT_SYSTEM: &str = "bloomery.dev/accept-system";
/// On a Machine: the repave counter of the installation of which nobody has told the end, and that a person
/// vouches for, once.
pub const ACCEPT_INSTALLATION: &str = "bloomery.dev/accept-installation";
/// On a Node: the UID of the Machine for whose reboot it takes no new pods.
pub const CORDONED_FOR: &str = "bloomery.dev/cordoned-for";

/// Value of [`TYPE`].
pub const INTERNAL: &str = "Internal";
/// Value of annotations that are either present or not.
pub const TRUE: &str = "true";

/// Label or annotation prefix on a Server. The rest of the key, and the value, are shown to the
/// booted host.
pub const METADATA_PREFIX: &str = "metadata.metal.ironcore.dev/";
/// Label on a ServerClaim: a maintenance is waiting for its server.
pub const MAINTENANCE_NEEDED: &str = "metal.ironcore.dev/maintenance-needed";
/// Label on a ServerClaim: its owner permits the maintenance to begin.
pub const MAINTENANCE_APPROVED: &str = "metal.ironcore.dev/maintenance-approved";
/// Label by which a consumer requests a maintenance.
pub const MAINTENANCE_REQUESTED: &str = "metal.ironcore.dev/maintenance-requested";
/// Label on a Server: its instance type, for cloud providers.
pub const INSTANCE_TYPE: &str = "metal.ironcore.dev/instance-type";

/// A one-shot operation or a standing instruction, as the value of [`OPERATION`].
///
/// The names have changed once; the older ones are still accepted.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::EnumIter,
    strum::IntoStaticStr,
)]
pub enum Operation {
    /// Leave the object alone.
    #[strum(to_string = "ignore", serialize = "ignore-reconciliation")]
    Ignore,
    /// As `Ignore`, propagated by a set.
    #[strum(to_string = "ignore-propagated", serialize = "ignore-reconciliation-propagated")]
    IgnorePropagated,
    /// Leave the children of the set alone.
    #[strum(to_string = "ignore-child", serialize = "ignore-child-reconciliation")]
    IgnoreChild,
    /// Leave the set and its children alone.
    #[strum(
        to_string = "ignore-child-and-self",
        serialize = "ignore-child-and-self-reconciliation"
    )]
    IgnoreChildAndSelf,
    /// Retry what failed.
    #[strum(to_string = "retry", serialize = "retry-failed-state-resource")]
    Retry,
    /// As `Retry`, propagated by a set.
    #[strum(to_string = "retry-propagated", serialize = "retry-failed-state-resource-propagated")]
    RetryPropagated,
    /// Retry the failed children of the set.
    #[strum(to_string = "retry-child", serialize = "retry-child-reconciliation")]
    RetryChild,
    /// Retry the set and its failed children.
    #[strum(to_string = "retry-child-and-self", serialize = "retry-child-and-self-reconciliation")]
    RetryChildAndSelf,
    /// Allow the object to be changed while its maintenance is active.
    #[strum(to_string = "allow-in-progress-update")]
    AllowInProgressUpdate,
    /// Allow the object to be deleted while its maintenance is active.
    #[strum(to_string = "allow-in-progress-delete")]
    AllowInProgressDelete,
    /// Rotate the credentials now.
    #[strum(to_string = "rotate-credentials")]
    RotateCredentials,
    /// Withdraw the server from the claim lifecycle.
    #[strum(to_string = "park")]
    Park,
    /// Return the server to the claim lifecycle.
    #[strum(to_string = "unpark")]
    Unpark,
    /// Redfish reset `GracefulRestart` of the host.
    #[strum(to_string = "graceful-restart-server")]
    GracefulRestartServer,
    /// Redfish reset `ForceRestart` of the host.
    #[strum(to_string = "hard-restart-server")]
    HardRestartServer,
    /// Redfish reset `PowerCycle` of the host.
    #[strum(to_string = "power-cycle-server")]
    PowerCycleServer,
    /// Redfish reset `ForceOff` of the host.
    #[strum(to_string = "force-off-server")]
    ForceOffServer,
    /// Redfish reset `ForceOn` of the host.
    #[strum(to_string = "force-on-server")]
    ForceOnServer,
    /// Redfish reset `GracefulRestart` of the manager.
    #[strum(to_string = "graceful-restart-bmc")]
    GracefulRestartBmc,
    /// Reset of the manager over SSH.
    #[strum(to_string = "force-ssh-reset-bmc")]
    ForceSshResetBmc,
}

/// The annotation names an operation that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operation `{0}` in annotation {OPERATION}; remove the annotation")]
pub struct UnknownOperation(pub String);

impl Operation {
    /// The operation that the object's annotation requests, if any.
    ///
    /// # Errors
    /// The value of the annotation is not an operation.
    pub fn requested(meta: &ObjectMeta) -> Result<Option<Self>, UnknownOperation> {
        let text = meta.annotations.as_ref().and_then(|all| all.get(OPERATION));
        text.map(|text| text.parse().map_err(|_| UnknownOperation(text.clone()))).transpose()
    }

    /// Whether an object with this operation is to be left alone. It can still be deleted.
    pub fn ignores_self(self) -> bool {
        matches!(self, Self::Ignore | Self::IgnorePropagated | Self::IgnoreChildAndSelf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::IntoEnumIterator;

    #[test]
    fn both_vocabularies_name_the_same_operations() {
        let pairs = [
            ("ignore-reconciliation", "ignore"),
            ("ignore-reconciliation-propagated", "ignore-propagated"),
            ("ignore-child-reconciliation", "ignore-child"),
            ("ignore-child-and-self-reconciliation", "ignore-child-and-self"),
            ("retry-failed-state-resource", "retry"),
            ("retry-failed-state-resource-propagated", "retry-propagated"),
            ("retry-child-reconciliation", "retry-child"),
            ("retry-child-and-self-reconciliation", "retry-child-and-self"),
        ];
        for (old, new) in pairs {
            assert_eq!(asking(old), asking(new), "{old}");
            assert_eq!(asking(new).unwrap().unwrap().to_string(), new);
        }
    }

    #[test]
    fn every_operation_reads_what_it_writes() {
        for operation in Operation::iter() {
            assert_eq!(asking(&operation.to_string()), Ok(Some(operation)));
        }
    }

    #[test]
    fn an_unknown_operation_is_named_in_the_error() {
        assert_eq!(asking("explode"), Err(UnknownOperation("explode".into())));
        assert_eq!(Operation::requested(&ObjectMeta::default()), Ok(None));
    }

    fn asking(value: &str) -> Result<Option<Operation>, UnknownOperation> {
        let annotations = [(OPERATION.to_owned(), value.to_owned())].into();
        Operation::requested(&ObjectMeta { annotations: Some(annotations), ..Default::default() })
    }
}
