//! Which address a client may have.

use super::Request;
use crate::{client::Client, config::v6::Subnet, lease::claim::Claimant};
use std::net::Ipv6Addr;

impl Request<'_> {
    pub(super) fn claimant<'a>(&'a self, client: &'a Client) -> Claimant<'a, Ipv6Addr, Subnet> {
        Claimant {
            client,
            mac: self.mac,
            subnet: self.subnet,
            leases: self.server.leases,
            instances: self.server.v6.instances,
            reserved: self.reserved(),
            own: self.arrival.addresses,
            now: self.now,
        }
    }
}
