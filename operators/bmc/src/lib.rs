//! Access to Baseboard Management Controllers.
//!
//! [`Bmc`] expresses what the metal-operator needs, in terms of the desired effect. How a vendor's
//! firmware wants to be asked is left to its implementations.
//!
//! [`Fleet`] is the implementation for real BMCs; a process has one. For each BMC it keeps one
//! session and one connection, allows one request at a time, and pauses when there is no answer.
//! Requests to all BMCs together are limited to a rate. Nothing runs in the background.

#[cfg(feature = "fake")]
pub mod fake;
mod fleet;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod quirks;
mod redfish;
mod transport;

pub use fleet::Fleet;
pub use metal_core::bmc_host::{BmcHost, BmcHostName};
pub use quirks::is_about_no_host;
pub use redfish::{Redfish, collection::is_about_the_list};
pub use transport::limits::config::{Config, Limits};
pub use transport::limits::counters::Counters;
pub use transport::names::Names;
pub use transport::permit::{Permit, Withdrawn};
pub use transport::pin::{Pin, PinError};
pub use transport::tls::{Trust, TrustError, UntrustedPolicy};

use metal_base::Chain;
use metal_core::redfish::{
    Credentials, Inventory, ManagerReading, MediaSlot, ResetType, Scheme, Step, SystemReading,
    Unreachable,
};
use std::{error::Error as StdError, future::Future, time::Duration};

/// Where a BMC listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Address, or host name.
    pub host: BmcHost,
    /// TCP port.
    pub port: u16,
}

/// One BMC. Every method has its own deadline and may be repeated. Dropping a call half-way loses
/// its connection and nothing else.
pub trait Bmc: Send + Sync {
    /// The same BMC, with writes that are sent only while `permit` holds. It is checked right
    /// before the first byte is sent.
    #[must_use]
    fn permitted(self, permit: Permit) -> Self
    where
        Self: Sized;

    /// Every system, in the order of the collection.
    fn systems(&self) -> impl Future<Output = Result<Vec<SystemReading>, Error>> + Send {
        async { self.systems_with(&mut vec![]).await }
    }

    /// Like [`systems`](Self::systems). Whatever the BMC could not say, or said inconsistently, is
    /// added to `remarks`, each with its resource.
    fn systems_with(
        &self,
        remarks: &mut Vec<String>,
    ) -> impl Future<Output = Result<Vec<SystemReading>, Error>> + Send;

    /// One system, by its URI.
    fn system(&self, uri: &str) -> impl Future<Output = Result<SystemReading, Error>> + Send;

    /// The parts of one system. Those that cannot be read are listed in the result; they are no
    /// error.
    fn inventory(&self, uri: &str) -> impl Future<Output = Result<Inventory, Error>> + Send;

    /// The manager with this UUID, or the first one if there is none given.
    fn manager(
        &self,
        uuid: Option<&str>,
    ) -> impl Future<Output = Result<ManagerReading, Error>> + Send;

    /// The `VirtualMedia` slots of one system that an image can be inserted into.
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

/// Finds or makes the connection to a BMC. Sends nothing.
pub trait Connect: Send + Sync + 'static {
    /// A connection to one BMC.
    type Bmc: Bmc;

    /// The connection to this BMC with these credentials. Changed credentials replace the previous
    /// ones.
    fn connect(&self, target: &Target, credentials: &Credentials) -> Self::Bmc;

    /// The certificate that this BMC is pinned to: the one that it presented first, or that of
    /// [`set_pin`](Self::set_pin). The caller has to keep it across restarts.
    fn pin(&self, _target: &Target) -> Option<Pin> {
        None
    }

    /// Pins a BMC to this certificate from the next request on, or with `None` to the one that it
    /// presents next. A connection that is open is used only if it was made with this one. Call it
    /// before [`connect`](Self::connect).
    fn set_pin(&self, _target: &Target, _pin: Option<Pin>) {}

    /// The certificate that a BMC presents; none by plain HTTP. Nothing is sent on the connection, so
    /// the caller can record the certificate before it logs in.
    fn introduce(
        &self,
        target: &Target,
    ) -> impl Future<Output = Result<Option<Pin>, Error>> + Send {
        std::future::ready(Ok(self.pin(target)))
    }

    /// Accepts certificates for this host name as well, because those of private authorities are
    /// seldom issued for an address. Call it before [`connect`](Self::connect).
    fn set_host_name(&self, _target: &Target, _name: Option<&str>) {}

    /// Holds back these credentials for this long, because another process was refused with them:
    /// BMCs lock an account after repeated wrong passwords. What this process has found out itself
    /// takes precedence.
    fn hold_back(&self, _target: &Target, _credentials: &Credentials, _rest: Duration) {}

    /// Forgets a BMC that no longer exists: logs out, and drops what is remembered of it.
    fn forget(&self, _target: &Target) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Drops what is remembered of a BMC that is no longer at this address. Whatever is there now
    /// gets no request, which would tell it the session.
    fn abandon(&self, _target: &Target) {}
}

impl Error {
    /// Whether the error says nothing about other resources of the same BMC, so that a caller that
    /// has read those continues without this one.
    pub fn concerns_one_resource(&self) -> bool {
        transport::call::concerns_one_resource(self)
    }

    /// Whether the BMC says that it does not have the resource.
    pub fn is_absent(&self) -> bool {
        transport::call::is_absent(self)
    }
}

/// A BMC did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be reached, or timed out.
    #[error("BMC does not respond")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// It refused our credentials.
    #[error("BMC rejected the credentials")]
    Unauthorized,
    /// The request was not sent, because the permit for the write no longer held.
    #[error("the request was not sent to the BMC")]
    Withdrawn(#[source] Withdrawn),
    /// All of its sessions are taken, and it accepts no request without one. The credentials may be
    /// right.
    #[error("BMC has no free session, and rejected Basic authentication")]
    SessionsFull(#[source] Box<dyn StdError + Send + Sync>),
    /// It sends more than one BMC may make the process hold. Asking again soon is no use.
    #[error("BMC sent an invalid response to the request to {action}")]
    Misbehaving {
        /// What it was asked to do, as an infinitive with its URI.
        action: String,
        /// The limit that it exceeded.
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

/// A BMC that gives no usable answer, as a decision sees it.
impl From<Error> for Unreachable {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthorized => Self::Unauthorized,
            error @ Error::SessionsFull(_) => Self::SessionsFull(Chain(&error).to_string()),
            error @ Error::Misbehaving { .. } => Self::Misbehaving(Chain(&error).to_string()),
            error @ (Error::Unreachable(_) | Error::Withdrawn(_) | Error::Failed { .. }) => {
                Self::NoAnswer(Chain(&error).to_string())
            }
        }
    }
}
