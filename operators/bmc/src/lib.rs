//! Access to Baseboard Management Controllers.
//!
//! [`Bmc`] says what the metal-operator needs, in terms of what it wants to happen. How a vendor's
//! firmware wants to be asked is the business of an implementation and of nobody else.
//!
//! [`Fleet`] is the way to real ones. A process has one. For each BMC it keeps one session and one
//! connection, lets at most one request be in flight, and stops asking for a while when there is
//! no answer; for all of them together it keeps to a rate. Nothing runs in the background.

mod action;
mod answer;
mod boot;
mod breaker;
mod budget;
mod call;
mod collection;
mod config;
mod counters;
mod encoding;
mod endpoint;
#[cfg(feature = "fake")]
pub mod fake;
mod field;
mod fleet;
mod forms;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inventory;
mod json;
mod led;
mod line;
mod login;
mod manager;
mod media;
mod memory;
mod message;
mod names;
mod offer;
mod permit;
mod public_key;
mod quirks;
mod rate;
mod redact;
mod redfish;
mod refusals;
mod request;
mod root;
mod settings;
mod storage;
mod system;
mod task;
mod tls;
mod transmit;
mod uri;
mod wire;

pub use config::{Config, Limits};
pub use counters::Counters;
pub use fleet::Fleet;
pub use metal_core::host::{Host, HostName};
pub use names::Names;
pub use permit::{Permit, Withdrawn};
pub use redfish::Redfish;
pub use tls::{Pin, PinError, Trust, TrustError, UntrustedPolicy};

use metal_core::redfish::{
    Credentials, Inventory, ManagerReading, MediaSlot, ResetType, Scheme, Step, SystemReading,
};
use std::{error::Error as StdError, future::Future, time::Duration};

/// Where a BMC listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Address, or host name.
    pub host: Host,
    /// TCP port.
    pub port: u16,
}

/// One BMC. Every method has a deadline of its own and may be repeated. A call that is dropped
/// half-way costs its connection and nothing else.
pub trait Bmc: Send + Sync {
    /// The same way, whose writes are sent only while this holds. It is asked last, right before the
    /// first byte.
    #[must_use]
    fn permitted(self, permit: Permit) -> Self
    where
        Self: Sized;

    /// Every system, in the order of the collection.
    fn systems(&self) -> impl Future<Output = Result<Vec<SystemReading>, Error>> + Send {
        async { self.systems_with(&mut vec![]).await }
    }

    /// Every system, as [`systems`](Self::systems). What the BMC could not say, or said against
    /// itself, is added to `remarks`, each with its resource.
    fn systems_with(
        &self,
        remarks: &mut Vec<String>,
    ) -> impl Future<Output = Result<Vec<SystemReading>, Error>> + Send;

    /// One system, by its URI.
    fn system(&self, uri: &str) -> impl Future<Output = Result<SystemReading, Error>> + Send;

    /// The parts of one system. What cannot be read is named in the result, and is no error.
    fn inventory(&self, uri: &str) -> impl Future<Output = Result<Inventory, Error>> + Send;

    /// The manager with this UUID; without one, the first.
    fn manager(
        &self,
        uuid: Option<&str>,
    ) -> impl Future<Output = Result<ManagerReading, Error>> + Send;

    /// The virtual drives of one system that an image can be inserted into.
    fn media(&self, uri: &str) -> impl Future<Output = Result<Vec<MediaSlot>, Error>> + Send;

    /// Carries out one step on one system. The caller reads back whether it took effect.
    fn perform(&self, uri: &str, step: &Step) -> impl Future<Output = Result<(), Error>> + Send;

    /// Resets the manager with this URI.
    fn reset_manager(
        &self,
        uri: &str,
        reset: ResetType,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Finds the connection to a BMC, or makes one. Sends nothing by itself.
pub trait Connect: Send + Sync + 'static {
    /// The connection.
    type Bmc: Bmc;

    /// The connection to this BMC with these credentials; changed credentials replace an old one.
    fn connect(&self, target: &Target, credentials: &Credentials) -> Self::Bmc;

    /// The certificate that this BMC is held to: the one it showed first, or the one of
    /// [`set_pin`](Self::set_pin). The caller keeps it over a restart.
    fn pin(&self, _target: &Target) -> Option<Pin> {
        None
    }

    /// Holds a BMC to this certificate from the next connection on; with `None`, to the next one
    /// it shows. Call it before [`connect`](Self::connect).
    fn set_pin(&self, _target: &Target, _pin: Option<Pin>) {}

    /// Takes certificates for this host name for good as well: those of an authority of one's own
    /// are seldom for an address. Call it before [`connect`](Self::connect).
    fn set_host_name(&self, _target: &Target, _name: Option<&str>) {}

    /// Holds credentials back for this long, because another process was refused with them: BMCs
    /// lock an account that hears wrong passwords again and again. What this process has found out
    /// by itself counts more.
    fn hold_back(&self, _target: &Target, _credentials: &Credentials, _rest: Duration) {}

    /// Forgets a BMC that is no more: logs out, and drops what is remembered of it.
    fn forget(&self, _target: &Target) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl Error {
    /// Whether it says nothing about other resources of the same BMC: a caller that has read those
    /// goes on without this one.
    pub fn is_of_a_part(&self) -> bool {
        call::is_of_a_part(self)
    }
}

/// A BMC did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be reached, or timed out.
    #[error("BMC does not answer")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// It refused our credentials.
    #[error("BMC refuses our credentials")]
    Unauthorized,
    /// It was not asked any more: the permit for the write did not hold.
    #[error("BMC was not told: the write was withdrawn")]
    Withdrawn(#[source] Withdrawn),
    /// All of its sessions are taken, and it takes no request without one. The credentials may be
    /// right.
    #[error("BMC has no session left, and refuses Basic authentication")]
    SessionsFull(#[source] Box<dyn StdError + Send + Sync>),
    /// It sends more than one BMC may make a process hold. Asking again soon is no use.
    #[error("BMC misbehaves when asked to {action}")]
    Misbehaving {
        /// What it was asked to do, as an infinitive with its URI.
        action: String,
        /// What it exceeds.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It answered with an error, or with something this crate cannot read.
    #[error("BMC failed to {action}")]
    Failed {
        /// What it was asked to do, as an infinitive with its URI.
        action: String,
        /// What it said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}
