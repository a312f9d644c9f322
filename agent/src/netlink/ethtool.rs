//! Link modes and ports of an adapter, from the kernel's `ethtool` family (Linux 5.6 and later).

use super::{
    generic::Generic,
    message::{self, c_string, find},
    socket::NetlinkError,
};

const LINK_MODES_GET: u8 = 4;
const HEADER: u16 = 1;
const HEADER_NAME: u16 = 2;
const OURS: u16 = 3;
const BITS: u16 = 3;
const BIT: u16 = 1;
const BIT_NAME: u16 = 2;

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

pub(super) fn link_modes(generic: &mut Generic, name: &str) -> Result<LinkModes, NetlinkError> {
    let header = message::nested(HEADER, &message::text(HEADER_NAME, name));
    let answer = generic.call("ethtool", LINK_MODES_GET, &header)?;
    Ok(answer.first().map(|attributes| parse(attributes)).unwrap_or_default())
}

/// All bits listed in the answer are supported; a separate mark tells those that are advertised.
fn parse(attributes: &[u8]) -> LinkModes {
    let bits = find(attributes, OURS).and_then(|set| find(set, BITS)).unwrap_or_default();
    let listed = message::attributes(bits).filter(|(kind, _)| *kind == BIT);
    let names = listed.filter_map(|(_, bit)| find(bit, BIT_NAME).map(c_string));
    let (ports, modes): (Vec<_>, Vec<_>) = names
        .filter(|name| !ABILITIES.contains(&name.as_str()))
        .partition(|name| PORTS.contains(&name.as_str()));
    LinkModes { modes, ports }
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
}
