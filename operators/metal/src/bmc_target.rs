//! Translates addresses of BMCs for their client, and the client's errors for decisions.

use metal_bmc::{Error as BmcError, Target};
use metal_core::{bmc::Destination, redfish::Unreachable};

/// The address of a BMC.
pub(crate) fn target(destination: &Destination) -> Target {
    Target { scheme: destination.scheme, host: destination.host.clone(), port: destination.port }
}

/// A BMC without a usable answer, as decisions see it.
pub(crate) fn unreachable(error: BmcError) -> Unreachable {
    error.into()
}
