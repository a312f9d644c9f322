//! Which address a client may have, and for how long.

use super::Request;
use crate::{config::Subnet, lease::claim::Claimant};
use jiff::SignedDuration;
use metal_wire::v4::code;
use std::net::Ipv4Addr;

/// Shortest lease time, whatever a client asks for.
const MIN_LEASE_TIME: SignedDuration = SignedDuration::from_secs(60);

impl Request<'_> {
    pub(super) fn claimant(&self) -> Claimant<'_, Ipv4Addr, Subnet> {
        Claimant {
            client: &self.client,
            mac: self.client.mac(),
            subnet: self.subnet,
            leases: self.server.leases,
            instances: self.server.config.instances,
            reserved: self.subnet.reservation(&self.client).map(|reserved| reserved.ip),
            own: self.own_addresses(),
            now: self.now,
        }
    }

    pub(super) fn lease_time(&self) -> SignedDuration {
        let wished = self.packet.options.u32(code::LEASE_TIME).map(i64::from);
        let wished = wished.map_or(self.subnet.lease_time, SignedDuration::from_secs);
        wished.max(MIN_LEASE_TIME).min(self.subnet.lease_time)
    }
}
