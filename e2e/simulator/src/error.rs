//! Why a fleet does not start.

use super::{fetch::ClientError, tls::TlsError};
use std::{io, net::SocketAddr};

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The Redfish address cannot be listened on.
    #[error("cannot listen on {0} for Redfish")]
    Redfish(SocketAddr, #[source] io::Error),
    /// The control address cannot be listened on.
    #[error("cannot listen on {0} for control")]
    Control(SocketAddr, #[source] io::Error),
    /// There is no socket for DHCP clients.
    #[error("cannot listen as a DHCP client")]
    Dhcp(#[source] io::Error),
    /// BMCs would have no certificates.
    #[error("BMCs cannot speak TLS")]
    Tls(#[from] TlsError),
    /// A virtual machine's number is out of range.
    #[error("machine {0} is to be virtual, and is not there: the last one is {1}")]
    Vm(u32, u32),
    /// Machines would have no HTTP client.
    #[error("machines cannot fetch")]
    Client(#[from] ClientError),
}
