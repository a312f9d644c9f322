//! The section `instances`: two servers for one network.

use super::{
    Config,
    field::{ConfigError, fail, scalar},
    raw,
};
use crate::{
    address::Address,
    lease::claim::LeaseSubnet,
    sharding::{Instances, Part},
};
use std::net::IpAddr;

impl Config {
    /// Whether no other instance gives an address to anybody: it is not reserved, and in our part of a range.
    pub fn is_ours_alone(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let subnet = self.subnet_of(address);
                subnet.is_some_and(|subnet| is_only_ours(subnet, address, self.instances))
            }
            IpAddr::V6(address) => {
                let subnet = self.dhcp6.as_ref().and_then(|dhcp6| dhcp6.subnet_of(address));
                subnet.is_some_and(|subnet| is_only_ours(subnet, address, self.instances))
            }
        }
    }
}

fn is_only_ours<A: Address>(
    subnet: &impl LeaseSubnet<A>,
    address: A,
    instances: Option<Instances>,
) -> bool {
    let is_others = instances.is_some_and(|it| it.is_others(subnet.ranges(), address));
    subnet.is_in_pool(address) && !is_others
}

pub(super) fn parse(raw: &raw::Instances) -> Result<Instances, ConfigError> {
    let mode = scalar(&raw.mode, "instances.mode", "`standby` or `split`", "standby")?;
    let part = match raw.part.value {
        1 => Part::First,
        2 => Part::Second,
        other => {
            let problem = format!(
                "there are only two instances, so there is no part {other}; use 1 for one \
                 instance, and 2 for the other"
            );
            return Err(fail(&raw.part, "instances.part", problem));
        }
    };
    Ok(Instances { mode, part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sharding::Sharing;

    fn instances(section: &str) -> Result<Option<Instances>, String> {
        let text = format!("interfaces: [eth1]\nsubnets: []\n{section}\n");
        Config::parse(&text).map(|it| it.instances).map_err(|error| error.to_string())
    }

    #[test]
    fn without_the_section_there_is_one_instance() {
        assert_eq!(instances(""), Ok(None));
        let split = Instances { mode: Sharing::Split, part: Part::Second };
        assert_eq!(instances("instances: { mode: split, part: 2 }"), Ok(Some(split)));
        let standby = Instances { mode: Sharing::Standby, part: Part::First };
        assert_eq!(instances("instances: { mode: standby, part: 1 }"), Ok(Some(standby)));
    }

    #[test]
    fn what_is_reserved_or_in_no_part_of_ours_may_be_given_by_both() {
        let text = "
interfaces: [eth1]
instances: { mode: split, part: 1 }
subnets:
  - subnet: 10.77.0.0/24
    ranges: [10.77.0.100-10.77.0.109]
    reservations: [{ mac: '02:00:00:00:00:01', ip: 10.77.0.100 }]
dhcp6:
  listen: ['[::1]:0']
  duid: '000300010200000000ff'
  subnets:
    - subnet: fd77::/64
      ranges: ['fd77::100-fd77::109']
      reservations: [{ mac: '02:00:00:00:00:01', ip: 'fd77::9' }]
";
        let config = Config::parse(text).unwrap();
        for (address, is_ours) in [
            ("10.77.0.100", false),
            ("10.77.0.104", true),
            ("10.77.0.105", false),
            ("10.77.0.9", false),
            ("192.0.2.1", false),
            ("fd77::100", true),
            ("fd77::109", false),
            ("fd77::9", false),
            ("fd78::1", false),
        ] {
            assert_eq!(config.is_ours_alone(address.parse().unwrap()), is_ours, "{address}");
        }
    }

    #[test]
    fn mistakes_name_line_field_and_fix() {
        for (section, text) in [
            (
                "instances: { mode: both, part: 1 }",
                "line 3: instances.mode: `both` is not `standby` or `split`; use, for example, \
                 `standby`",
            ),
            (
                "instances:\n  mode: split\n  part: 3",
                "line 5: instances.part: there are only two instances, so there is no part 3; use 1",
            ),
            ("instances: { mode: split, part: 0 }", "no part 0"),
            ("instances: { mode: split }", "missing field `part`"),
            ("instances: { part: 1 }", "missing field `mode`"),
            ("instances: { mode: split, part: one }", "line 3"),
            ("instances: { mode: split, part: 1, of: 3 }", "of"),
        ] {
            let error = instances(section).unwrap_err();
            assert!(error.contains(text), "{section}: {error}");
        }
    }
}
