//! The pools of the configuration.

use crate::{
    config::{Config, Subnet},
    lease::{Leases, pool::Pool},
};
use jiff::Timestamp;
use std::net::Ipv4Addr;

impl Leases {
    /// No leases, with the pools of `config`.
    pub fn new(config: &Config) -> Self {
        let mut leases = Self::default();
        leases.reconfigure(config, Timestamp::MIN);
        leases
    }

    /// Adopts the ranges of another configuration. Leases are kept, except those that have ended
    /// and do not fit the configuration.
    pub fn reconfigure(&mut self, config: &Config, now: Timestamp) {
        let is_reserved = |address: Ipv4Addr| {
            config.subnet_of(address).is_some_and(|subnet| subnet.is_reserved(address))
        };
        self.replace_pools(
            config.subnets.iter().flat_map(|it| pools(config, it)).collect(),
            is_reserved,
            now,
        );
    }
}

fn pools(config: &Config, subnet: &Subnet) -> impl Iterator<Item = Pool<Ipv4Addr>> {
    let pools = subnet.ranges.iter().flat_map(|range| Pool::of(range, config.instances));
    pools.map(|mut pool| {
        subnet.reserved.keys().chain(&subnet.router).for_each(|&address| pool.set_aside(address));
        pool
    })
}
