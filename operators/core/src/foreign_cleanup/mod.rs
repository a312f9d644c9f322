//! Removes finalizers and owner references that ironcore's operators have left, which would block
//! deletion or delete too much, and conditions that nobody keeps up.

mod conditions;
mod maintenance;
mod rule;
#[cfg(test)]
mod tests;

pub(crate) use conditions::{drop_conditions_of_bmc, drop_conditions_of_server};
pub use maintenance::{holds, labels_to_remove, must_turn_off_led};
pub use rule::taints_without;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use metal_api::{Endpoint, METAL_GROUP, finalizer};

/// A kind whose objects may carry something of another version. Servers and ServerClaims are not
/// among them: their own controllers remove their finalizers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumIter, strum::IntoStaticStr,
)]
pub enum Kind {
    /// `Endpoint`.
    Endpoint,
    /// `BMC`.
    #[strum(serialize = "BMC")]
    Bmc,
    /// `BMCSecret`.
    #[strum(serialize = "BMCSecret")]
    BmcSecret,
    /// `BMCUser`.
    #[strum(serialize = "BMCUser")]
    BmcUser,
    /// `ServerMaintenance`.
    ServerMaintenance,
    /// `ServerReadinessRule`.
    ServerReadinessRule,
    /// `BIOSSettings`.
    #[strum(serialize = "BIOSSettings")]
    BiosSettings,
    /// `BIOSSettingsSet`.
    #[strum(serialize = "BIOSSettingsSet")]
    BiosSettingsSet,
    /// `BIOSVersion`.
    #[strum(serialize = "BIOSVersion")]
    BiosVersion,
    /// `BIOSVersionSet`.
    #[strum(serialize = "BIOSVersionSet")]
    BiosVersionSet,
    /// `BMCSettings`.
    #[strum(serialize = "BMCSettings")]
    BmcSettings,
    /// `BMCSettingsSet`.
    #[strum(serialize = "BMCSettingsSet")]
    BmcSettingsSet,
    /// `BMCVersion`.
    #[strum(serialize = "BMCVersion")]
    BmcVersion,
    /// `BMCVersionSet`.
    #[strum(serialize = "BMCVersionSet")]
    BmcVersionSet,
}

impl Kind {
    /// The finalizer of objects of this kind, if any.
    pub fn finalizer(self) -> Option<&'static str> {
        match self {
            Self::Endpoint => Some(finalizer::ENDPOINT),
            Self::Bmc => Some(finalizer::BMC),
            Self::BmcSecret => None,
            Self::BmcUser => Some(finalizer::BMC_USER),
            Self::ServerMaintenance => Some(finalizer::SERVER_MAINTENANCE),
            Self::ServerReadinessRule => Some(finalizer::SERVER_READINESS_RULE),
            Self::BiosSettings => Some(finalizer::BIOS_SETTINGS),
            Self::BiosSettingsSet => Some(finalizer::BIOS_SETTINGS_SET),
            Self::BiosVersion => Some(finalizer::BIOS_VERSION),
            Self::BiosVersionSet => Some(finalizer::BIOS_VERSION_SET),
            Self::BmcSettings => Some(finalizer::BMC_SETTINGS),
            Self::BmcSettingsSet => Some(finalizer::BMC_SETTINGS_SET),
            Self::BmcVersion => Some(finalizer::BMC_VERSION),
            Self::BmcVersionSet => Some(finalizer::BMC_VERSION_SET),
        }
    }

    /// Whether older versions made an Endpoint the owner of objects of this kind.
    pub fn had_endpoint_as_owner(self) -> bool {
        matches!(self, Self::Bmc | Self::BmcSecret)
    }
}

/// What should remain of an object's metadata.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remaining {
    /// Finalizers, if one is to be removed.
    pub finalizers: Option<Vec<String>>,
    /// Owners, if one is to be removed.
    pub owner_references: Option<Vec<OwnerReference>>,
}

/// What should remain of an object's metadata, if anything is to be removed.
///
/// A finalizer is removed only while the object is being deleted, because the other version may
/// come back and relies on it. An Endpoint as the owner is removed at once: the garbage collector
/// would delete a BMC, and with it its Servers, as soon as the Endpoint is gone.
pub fn remaining(kind: Kind, meta: &ObjectMeta) -> Option<Remaining> {
    let remaining =
        Remaining { finalizers: finalizers(kind, meta), owner_references: owners(kind, meta) };
    (remaining != Remaining::default()).then_some(remaining)
}

fn finalizers(kind: Kind, meta: &ObjectMeta) -> Option<Vec<String>> {
    meta.deletion_timestamp.as_ref()?;
    let (all, leaving) = (meta.finalizers.as_ref()?, kind.finalizer()?);
    let rest: Vec<_> = all.iter().filter(|name| *name != leaving).cloned().collect();
    (rest.len() < all.len()).then_some(rest)
}

fn owners(kind: Kind, meta: &ObjectMeta) -> Option<Vec<OwnerReference>> {
    let all = meta.owner_references.as_ref().filter(|_| kind.had_endpoint_as_owner())?;
    let rest: Vec<_> = all.iter().filter(|owner| !is_endpoint(owner)).cloned().collect();
    (rest.len() < all.len()).then_some(rest)
}

/// In any version of the group.
fn is_endpoint(owner: &OwnerReference) -> bool {
    owner.kind == Endpoint::kind(&()) && owner.api_version.split('/').next() == Some(METAL_GROUP)
}
