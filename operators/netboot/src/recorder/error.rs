use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use metal_api::{Endpoint, MacAddr};
use metal_runtime::report::{Class, ReconcileError, class_of};
use std::sync::Arc;

/// A BMC was not recorded.
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
        "{} should say where {mac} is, and has another MAC address; correct or delete it",
        endpoint.name_any()
    )]
    NameTaken {
        /// The MAC address.
        mac: MacAddr,
        /// That which has the name.
        endpoint: Arc<Endpoint>,
    },
    /// The Endpoint was not created.
    #[error("endpoint not created")]
    Create(#[source] kube::Error),
    /// The new address was not written.
    #[error("address of the endpoint not changed")]
    Readdress(#[source] kube::Error),
    /// It took too long.
    #[error("the API server did not answer in time")]
    Deadline,
}

impl Error {
    /// The Endpoints that are in the way.
    pub(super) fn about(&self) -> Vec<ObjectReference> {
        match self {
            Self::Ambiguous { endpoints, .. } => {
                endpoints.iter().map(|endpoint| endpoint.object_ref(&())).collect()
            }
            Self::NameTaken { endpoint, .. } => vec![endpoint.object_ref(&())],
            Self::Create(_) | Self::Readdress(_) | Self::Deadline => Vec::new(),
        }
    }
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Ambiguous { .. } | Self::NameTaken { .. } => Class::Rejected,
            // Somebody has just created it, and we shall see it soon.
            Self::Create(kube::Error::Api(status)) if status.is_already_exists() => {
                Class::Transient
            }
            Self::Create(error) | Self::Readdress(error) => class_of(error),
            Self::Deadline => Class::Transient,
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
