//! What a [`Bmc`] object shows of its manager, and which servers it has.

mod accepted_certificate;
mod credential_annotations;
mod credential_guard;
mod credential_notes;
mod decide;
mod lockout;
mod reach;
mod reading;
mod servers;
mod status;
mod systems;
#[cfg(test)]
mod tests;
mod verification;

pub use accepted_certificate::is_accepted;
pub(crate) use accepted_certificate::is_no_certificate;
pub use credential_annotations::CredentialAnnotations;
pub use credential_guard::Login;
pub(crate) use credential_guard::note_of_new;
pub use credential_notes::{certificate_of_server, note_of_server, unstored_of_server};
pub use decide::decide;
pub(crate) use lockout::REASON_OF_SERVER;
pub use lockout::{REFUSED, refused_for, refused_for_server, rest};
pub(crate) use reach::scheme;
pub use reach::{Destination, Missing, destination, inline_destination, unconfirmed_name};
pub use reading::{Answers, BmcReading, FoundSystem};
pub use servers::{server_name, stem, stem_of};
pub use verification::Verification;

use crate::macdb::MacDb;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use metal_api::{Bmc, BmcSecret, BmcStatus, Server};
use std::{collections::BTreeMap, sync::Arc};

/// Everything one decision depends on.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache.
    pub bmc: &'a Bmc,
    /// How to reach it, or what is missing.
    pub destination: Result<Destination, Missing>,
    /// How BMCs are authenticated.
    pub verification: Verification,
    /// The credentials, if they exist.
    pub secret: Option<&'a BmcSecret>,
    /// The MAC prefix database; `None` if none is configured.
    pub database: Option<&'a MacDb>,
    /// MAC address of the Endpoint, or of the inline access.
    pub mac_address: Option<String>,
    /// The last reading, if there is one.
    pub reading: Option<&'a BmcReading>,
    /// All servers that refer to this BMC, or have a name given by [`server_name`].
    pub servers: &'a [Arc<Server>],
    /// All servers of any BMC with one of the system UUIDs in the reading.
    pub same_uuid: &'a [Arc<Server>],
    /// Names of servers that cannot be read and may belong to this BMC.
    pub unreadable: &'a [String],
    /// Namespace of the discovery's boot configurations.
    pub namespace: &'a str,
    /// Whether servers of BMCs that were not created by a person are held until one admits them.
    pub holds_new: bool,
    /// The failure of the last pass, if it failed.
    pub failure: Option<&'a crate::failure::Failure>,
    /// When this process started.
    pub started: Timestamp,
    /// Time of the observation.
    pub now: Timestamp,
}

/// What a pass is to do. `Look` reads the manager and the systems.
pub type Decision = metal_base::Decision<BmcStatus, Change, ()>;

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Record with the credentials which BMC they belong to.
    Note(CredentialAnnotations),
    /// Remove this annotation, by which a person vouched for a new address or certificate that is
    /// known now.
    Settle(&'static str),
    /// Remove a BMC that was made for an Endpoint which is gone, and that has never answered.
    Collect {
        /// Whether to remove its credentials as well, because nothing is lost with them.
        credentials: bool,
    },
    /// Create these servers, except those that exist.
    Create(Vec<Server>),
    /// Update URI and labels of a server.
    Update {
        /// The server that the decision was based on.
        server: Arc<Server>,
        /// `spec.systemURI`.
        system_uri: String,
        /// Labels to set.
        labels: BTreeMap<String, String>,
    },
    /// Correct the owners of a server that was restored from a backup.
    Own {
        /// The server that the decision was based on.
        server: Arc<Server>,
        /// The complete list of owners.
        owners: Vec<OwnerReference>,
    },
}
