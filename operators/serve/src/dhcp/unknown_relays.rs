//! Relays that may not speak for the subnet that they name.

use super::LogOnce;
use std::net::IpAddr;

/// The relays that were logged.
#[derive(Debug, Default)]
pub struct UnknownRelays(LogOnce<(IpAddr, IpAddr)>);

impl UnknownRelays {
    /// Reports a relay that gives `named` as its own address or that of its link, but sends from
    /// another one.
    pub fn tell(&mut self, named: IpAddr, from: IpAddr) {
        if self.0.is_due((named, from)) {
            let hint = "if this relay is legitimate, add its address to `relays` of the subnet";
            tracing::warn!(
                %named, %from, hint,
                "not answering a client in a subnet of BMCs behind an unknown relay"
            );
        }
    }
}
