//! Configurations that no file has: those of reservations alone.

use super::{BmcSubnets, BootFiles, Bounds, Config, Mode, Record, Subnet, subnet};
use ipnet::Ipv4Net;
use std::collections::HashMap;

impl Config {
    /// One that gives clients what these subnets reserve for them, as the only server there.
    pub(crate) fn reserving(subnets: Vec<Subnet>, boot: BootFiles) -> Self {
        Self {
            interfaces: Vec::new(),
            listen: Vec::new(),
            relays: Vec::new(),
            authoritative: true,
            conflict_probe: false,
            subnets,
            boot,
            tftp: None,
            ztp: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            endpoint_prefix: String::new(),
            record: Record::default(),
            new_bmcs: Bounds::default(),
            bmc_subnets: BmcSubnets::Named,
            instances: None,
            dhcp6: None,
        }
    }
}

impl Subnet {
    /// One without anything in it.
    pub(crate) fn new(net: Ipv4Net) -> Self {
        Self {
            net,
            mode: Mode::Leases,
            bmc: false,
            relays: Vec::new(),
            ranges: Vec::new(),
            router: None,
            dns: Vec::new(),
            ntp: Vec::new(),
            domain: None,
            mtu: None,
            routes: Vec::new(),
            lease_time: subnet::LEASE_TIME,
            reservations: HashMap::new(),
            reserved: HashMap::new(),
        }
    }
}
