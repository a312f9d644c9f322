//! Configurations that only have reservations, and do not come from a file.

use super::{BmcSubnets, BootFiles, Config, Mode, NewBmcLimits, Record, Subnet, subnet};
use ipnet::Ipv4Net;
use std::collections::HashMap;

impl Config {
    /// A configuration that gives clients the addresses that these subnets reserve for them, as the
    /// only server there.
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
            new_bmcs: NewBmcLimits::default(),
            bmc_subnets: BmcSubnets::Named,
            instances: None,
            dhcp6: None,
            unused: Vec::new(),
        }
    }
}

impl Subnet {
    /// An empty subnet.
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
