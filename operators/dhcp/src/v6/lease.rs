//! The pools of the configuration.

use crate::{
    config::v6::Config,
    lease::{Leases, pool::Pool},
};
use jiff::Timestamp;
use std::net::Ipv6Addr;

/// No leases, with the pools of a configuration.
pub fn leases(config: &Config) -> Leases<Ipv6Addr> {
    let mut leases = Leases::default();
    reconfigure(&mut leases, config, Timestamp::MIN);
    leases
}

/// Adopts the ranges of another configuration. Leases are kept, except those that have ended and do
/// not fit the configuration.
pub fn reconfigure(leases: &mut Leases<Ipv6Addr>, config: &Config, now: Timestamp) {
    let pools = config.subnets.iter().flat_map(|subnet| {
        let pools = subnet.ranges.iter().flat_map(|range| Pool::of(range, config.instances));
        pools.map(|mut pool| {
            subnet.reserved.keys().for_each(|&address| pool.set_aside(address));
            pool
        })
    });
    let is_reserved = |address: Ipv6Addr| {
        config.subnet_of(address).is_some_and(|subnet| subnet.reserved.contains_key(&address))
    };
    leases.replace_pools(pools.collect(), is_reserved, now);
}
