//! Link modes, ports and private flags of an adapter, from the kernel's `ethtool` family (Linux 5.6 and later).

use super::{
    generic::Generic,
    message::{self, c_string, find},
    socket::NetlinkError,
};

/// `ETHTOOL_MSG_LINKMODES_GET` and `ETHTOOL_MSG_PRIVFLAGS_GET`, and attributes of their replies
/// (`linux/ethtool_netlink.h`).
const LINK_MODES_GET: u8 = 4;
const PRIVATE_FLAGS_GET: u8 = 13;
const HEADER: u16 = 1;
const HEADER_NAME: u16 = 2;
const OURS: u16 = 3;
const BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;
const BIT_VALUE: u16 = 3;
const FLAGS: u16 = 2;

/// Bits of the mode set that denote a port type.
const PORTS: [&str; 6] = ["TP", "AUI", "BNC", "MII", "FIBRE", "Backplane"];
/// Bits of the mode set that are neither modes nor ports.
const ABILITIES: [&str; 7] = ["Autoneg", "Pause", "Asym_Pause", "None", "RS", "BASER", "LLRS"];

/// What an adapter supports, in the kernel's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkModes {
    /// Link modes, for example `1000baseT/Full`.
    pub modes: Vec<String>,
    /// Kinds of port, for example `TP` or `FIBRE`.
    pub ports: Vec<String>,
}

/// A switch that only one driver has, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateFlag {
    /// Its name, for example `disable-fw-lldp`.
    pub name: String,
    /// Whether it is on.
    pub is_on: bool,
}

pub(super) fn link_modes(generic: &mut Generic, name: &str) -> Result<LinkModes, NetlinkError> {
    let answer = get(generic, LINK_MODES_GET, name)?;
    Ok(answer.first().map(|attributes| parse(attributes)).unwrap_or_default())
}

pub(super) fn private_flags(
    generic: &mut Generic,
    name: &str,
) -> Result<Vec<PrivateFlag>, NetlinkError> {
    let answer = get(generic, PRIVATE_FLAGS_GET, name)?;
    Ok(answer.first().map(|attributes| flags(attributes)).unwrap_or_default())
}

fn get(generic: &mut Generic, command: u8, name: &str) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let header = message::nested(HEADER, &message::text(HEADER_NAME, name));
    generic.call("ethtool", command, &header)
}

/// All bits listed in the answer are supported; a separate mark tells those that are advertised.
fn parse(attributes: &[u8]) -> LinkModes {
    let names = bits(attributes, OURS).filter_map(|bit| find(bit, BIT_NAME).map(c_string));
    let (ports, modes): (Vec<_>, Vec<_>) = names
        .filter(|name| !ABILITIES.contains(&name.as_str()))
        .partition(|name| PORTS.contains(&name.as_str()));
    LinkModes { modes, ports }
}

/// All flags are listed, and those that are on have a value.
fn flags(attributes: &[u8]) -> Vec<PrivateFlag> {
    let flag = |bit| {
        let name = find(bit, BIT_NAME).map(c_string)?;
        Some(PrivateFlag { name, is_on: find(bit, BIT_VALUE).is_some() })
    };
    bits(attributes, FLAGS).filter_map(flag).collect()
}

/// The bits of a set.
fn bits(attributes: &[u8], set: u16) -> impl Iterator<Item = &[u8]> {
    let bits = find(attributes, set).and_then(|set| find(set, BITS)).unwrap_or_default();
    message::attributes(bits).filter(|(kind, _)| *kind == BIT).map(|(_, bit)| bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{attribute, nested, text};

    #[test]
    fn modes_ports_and_abilities_are_told_apart() {
        let bit = |name: &str| nested(BIT, &[attribute(1, &[0; 4]), text(BIT_NAME, name)].concat());
        let bits = ["10baseT/Half", "1000baseT/Full", "Autoneg", "TP", "RS"].map(bit).concat();
        let answer = [text(9, "x"), nested(OURS, &nested(BITS, &bits))].concat();
        let modes = parse(&answer);
        assert_eq!(modes.modes, ["10baseT/Half", "1000baseT/Full"]);
        assert_eq!(modes.ports, ["TP"]);
    }

    #[test]
    fn an_adapter_without_modes_has_none() {
        assert_eq!(parse(&text(9, "x")), LinkModes::default());
    }

    #[test]
    fn a_private_flag_is_on_where_its_bit_has_a_value() {
        let bit = |name: &str, value: &[u8]| {
            nested(BIT, &[&attribute(1, &[0; 4])[..], &text(BIT_NAME, name), value].concat())
        };
        let all = [bit("disable-fw-lldp", &[]), bit("legacy-rx", &attribute(BIT_VALUE, &[]))];
        let size = attribute(2, &[2, 0, 0, 0]);
        let answer = nested(FLAGS, &[size, nested(BITS, &all.concat())].concat());
        let found = flags(&[nested(HEADER, &text(HEADER_NAME, "eth0")), answer].concat());
        let flag = |name: &str, is_on| PrivateFlag { name: name.to_owned(), is_on };
        assert_eq!(found, [flag("disable-fw-lldp", false), flag("legacy-rx", true)]);
        assert_eq!(flags(&[]), []);
    }
}
