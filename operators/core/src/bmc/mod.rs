//! What a [`Bmc`] object shows of its manager, and which servers it has.

mod decide;
mod known;
mod lockout;
mod reach;
mod reading;
mod servers;
mod shared;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub(crate) use known::note_of_new;
pub use known::{Note, Verification, certificate, may_log_in};
pub(crate) use lockout::{REASON_OF_SERVER, REFUSED};
pub use lockout::{refused_for, refused_for_server};
pub use reach::{Destination, Missing, destination, inline_destination};
pub use reading::{Answers, Reading};
pub use servers::server_name;
pub use shared::{certificate_of_server, note_of_server};

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
    /// Where it is, or what is missing for that.
    pub destination: Result<Destination, Missing>,
    /// The credentials, if they are there.
    pub secret: Option<&'a BmcSecret>,
    /// The MAC prefix database; `None` where none is configured.
    pub database: Option<&'a MacDb>,
    /// MAC address of the Endpoint, or of the inline access.
    pub mac_address: Option<String>,
    /// The last reading, if there is one.
    pub reading: Option<&'a Reading>,
    /// Every server that refers to this BMC, or has a name of [`server_name`].
    pub servers: &'a [Arc<Server>],
    /// Every server, whosoever, with one of the system UUIDs in the reading.
    pub same_uuid: &'a [Arc<Server>],
    /// Names of servers that cannot be read and may be of this BMC.
    pub unreadable: &'a [String],
    /// Namespace of the discovery's boot configurations.
    pub namespace: &'a str,
    /// Whether servers of BMCs that no person made are held until one admits them.
    pub holds_new: bool,
    /// How the last pass failed, if it did.
    pub failure: Option<&'a crate::server::Failure>,
    /// When this process started.
    pub started: Timestamp,
    /// When this was observed.
    pub now: Timestamp,
}

/// What one pass is to do; what it looks at are the manager and the systems.
pub type Decision = metal_base::Decision<BmcStatus, Change, ()>;

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Write beside the credentials which BMC they are of.
    Note(Note),
    /// The new address is known now: remove the annotation that vouched for it.
    Settle,
    /// It was made for an Endpoint that is gone, and has never answered: remove it.
    Collect {
        /// Whether to remove its credentials as well: nothing is lost with them.
        credentials: bool,
    },
    /// Create these servers, each unless it is there.
    Create(Vec<Server>),
    /// Bring URI and labels of a server up to date.
    Update {
        /// The server as it was judged.
        server: Arc<Server>,
        /// `spec.systemURI`.
        system_uri: String,
        /// Labels to add or to overwrite.
        labels: BTreeMap<String, String>,
    },
    /// Put the owners of a server right that comes from a backup.
    Own {
        /// The server as it was judged.
        server: Arc<Server>,
        /// All owners that it is to have.
        owners: Vec<OwnerReference>,
    },
}
