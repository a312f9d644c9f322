//! Why a BMC that was seen in the network is not recorded in the cluster. A person is told by an event
//! on the objects that are in the way.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use metal_api::{Bmc, Endpoint, MacAddr};
use metal_core::endpoint::recording::Conflict;
use metal_runtime::report::{Class, ReconcileError, class_of};
use std::{net::IpAddr, sync::Arc, time::Duration};

/// Why a BMC was not recorded.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// Several Endpoints have its MAC address.
    #[error("{} have the MAC address {mac}; delete all but one", names(endpoints))]
    Ambiguous {
        /// The MAC address.
        mac: MacAddr,
        /// Those that have it.
        endpoints: Vec<Arc<Endpoint>>,
    },
    /// The name that it would get belongs to another MAC address.
    #[error(
        "{} should be for {mac}, but has a different MAC address; correct or delete it",
        endpoint.name_any()
    )]
    NameTaken {
        /// The MAC address.
        mac: MacAddr,
        /// That which has the name.
        endpoint: Arc<Endpoint>,
    },
    /// It cannot be at the address where DHCP saw it, or two devices pretend to be it.
    #[error(
        "its MAC address got a DHCP lease for {ip}, but {why}: spec.ip is not changed; if the BMC \
         has moved, set spec.ip; otherwise another host is using its MAC address"
    )]
    AddressConflict {
        /// Where it was seen.
        ip: IpAddr,
        /// That which says where it is.
        endpoint: Arc<Endpoint>,
        /// Why it is not believed.
        why: Conflict,
    },
    /// Several BMC objects have its MAC address.
    #[error("{} have the MAC address {mac}; delete all but one", bmc_names(bmcs))]
    AmbiguousBmc {
        /// The MAC address.
        mac: MacAddr,
        /// Those that have it.
        bmcs: Vec<Arc<Bmc>>,
    },
    /// The name that its BMC object would get belongs to another MAC address.
    #[error(
        "BMC {} should be for {mac}, but has a different MAC address; rename it",
        bmc.name_any(),
    )]
    BmcNameTaken {
        /// The MAC address.
        mac: MacAddr,
        /// That which has the name.
        bmc: Arc<Bmc>,
    },
    /// Its BMC object has another address, which cannot be changed.
    #[error(
        "BMC {} has moved to {ip}, but its spec.access is immutable; reserve its previous \
         address, or delete the object with --cascade=orphan, which keeps its servers, to have it \
         created again",
        bmc.name_any()
    )]
    Moved {
        /// The address that it has now.
        ip: IpAddr,
        /// The object.
        bmc: Arc<Bmc>,
    },
    /// The MAC prefix database has no usable entry for a BMC object.
    #[error("{0}")]
    BadEntry(String),
    /// The BMC object or its credentials were not created.
    #[error("could not create the BMC")]
    CreateBmc(#[source] kube::Error),
    /// The Endpoint was not created.
    #[error("could not create the Endpoint")]
    Create(#[source] kube::Error),
    /// The new address was not written.
    #[error("could not update the address of the Endpoint")]
    Readdress(#[source] kube::Error),
    /// A conflict could not be shown, or not be removed.
    #[error("could not record the conflict on the Endpoint")]
    Note(#[source] kube::Error),
    /// There are too many new BMCs: this one has to wait.
    #[error(
        "too many BMCs are new or have never responded; see endpoints.newPerMinute and \
         endpoints.maxUnanswered"
    )]
    TooManyNew {
        /// For how long.
        wait: Duration,
    },
    /// It took too long.
    #[error("the API server did not answer in time")]
    Deadline,
}

impl Error {
    /// The objects that are in the way.
    pub(super) fn about(&self) -> Vec<ObjectReference> {
        match self {
            Self::Ambiguous { endpoints, .. } => {
                endpoints.iter().map(|endpoint| endpoint.object_ref(&())).collect()
            }
            Self::NameTaken { endpoint, .. } | Self::AddressConflict { endpoint, .. } => {
                vec![endpoint.object_ref(&())]
            }
            Self::AmbiguousBmc { bmcs, .. } => bmcs.iter().map(|bmc| bmc.object_ref(&())).collect(),
            Self::BmcNameTaken { bmc, .. } | Self::Moved { bmc, .. } => vec![bmc.object_ref(&())],
            Self::BadEntry(_)
            | Self::Create(_)
            | Self::CreateBmc(_)
            | Self::Readdress(_)
            | Self::Note(_)
            | Self::TooManyNew { .. }
            | Self::Deadline => Vec::new(),
        }
    }
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Ambiguous { .. }
            | Self::NameTaken { .. }
            | Self::AmbiguousBmc { .. }
            | Self::BmcNameTaken { .. }
            | Self::Moved { .. }
            | Self::BadEntry(_) => Class::Rejected,
            // Somebody else has just created it, and it will soon be in the watch.
            Self::Create(kube::Error::Api(status)) | Self::CreateBmc(kube::Error::Api(status))
                if status.is_already_exists() =>
            {
                Class::Transient
            }
            Self::Create(error)
            | Self::CreateBmc(error)
            | Self::Readdress(error)
            | Self::Note(error) => class_of(error),
            // It may be over when a lease ends.
            Self::AddressConflict { .. } | Self::TooManyNew { .. } | Self::Deadline => {
                Class::Transient
            }
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}

fn names(endpoints: &[Arc<Endpoint>]) -> String {
    let names: Vec<_> = endpoints.iter().map(|endpoint| endpoint.name_any()).collect();
    format!("endpoints {}", names.join(", "))
}

fn bmc_names(bmcs: &[Arc<Bmc>]) -> String {
    let names: Vec<_> = bmcs.iter().map(|bmc| bmc.name_any()).collect();
    format!("BMCs {}", names.join(", "))
}
