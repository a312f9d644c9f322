//! Why a fleet does not start.

use super::{fetch::ClientError, tls::TlsError};
use std::{io, net::SocketAddr};

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Cannot listen on the Redfish address.
    #[error("cannot listen on {0} for Redfish")]
    Redfish(SocketAddr, #[source] io::Error),
    /// Cannot listen on the control address.
    #[error("cannot listen on {0} for control")]
    Control(SocketAddr, #[source] io::Error),
    /// Cannot open the socket for DHCP clients.
    #[error("cannot listen as a DHCP client")]
    Dhcp(#[source] io::Error),
    /// Cannot set up TLS of the BMCs.
    #[error("BMCs cannot speak TLS")]
    Tls(#[from] TlsError),
    /// A virtual machine's number is out of range.
    #[error("machine {0} is to be virtual, and is not there: the last one is {1}")]
    Vm(u32, u32),
    /// Cannot create the machines' HTTP client.
    #[error("machines cannot fetch")]
    Client(#[from] ClientError),
}
