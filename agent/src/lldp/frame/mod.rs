//! One LLDP frame (IEEE 802.1AB-2016, chapters 8 and 9, annexes D and E).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// EtherType of LLDP (IEEE 802.1AB-2016, clause 7), and of a VLAN tag (IEEE 802.1Q).
const ETHERTYPE: [u8; 2] = [0x88, 0xcc];
const VLAN_TAG: [u8; 2] = [0x81, 0x00];
/// Organization of IEEE 802.1.
const IEEE_8021: [u8; 3] = [0x00, 0x80, 0xc2];
/// Bits of the capabilities TLV (table 8-4), in `lldpctl`'s words.
const CAPABILITIES: [&str; 11] = [
    "Other", "Repeater", "Bridge", "Wlan", "Router", "Tel", "Docsis", "Station", "C-VLAN",
    "S-VLAN", "TPMR",
];

/// What a neighbor announced on one of its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Its chassis: a MAC address with colons, an IP address, or a name.
    pub chassis_id: String,
    /// Its port, in the same forms.
    pub port_id: String,
    /// Validity in seconds; 0 revokes it.
    pub ttl: u16,
    /// Description of the port.
    pub port_description: String,
    /// Name of the neighbor.
    pub system_name: String,
    /// Description of the neighbor.
    pub system_description: String,
    /// First management address.
    pub management_ip: Option<IpAddr>,
    /// Enabled capabilities.
    pub capabilities: Vec<&'static str>,
    /// VLAN of untagged frames, or else the first VLAN named.
    pub vlan_id: Option<u16>,
}

/// Why a frame is not a usable announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is shorter than its headers or a TLV claim.
    #[error("LLDP frame is truncated")]
    Truncated,
    /// It is of another protocol.
    #[error("not an LLDP frame")]
    EtherType,
    /// Chassis, port and time to live must come first, in this order.
    #[error("LLDP frame does not start with chassis ID, port ID and TTL")]
    Order,
    /// A mandatory TLV has an invalid length.
    #[error("LLDP TLV {0} has an invalid length")]
    Length(u8),
}

impl Announcement {
    /// Parses an Ethernet frame with or without a VLAN tag. Padding after the end is ignored.
    pub fn parse(frame: &[u8]) -> Result<Self, FrameError> {
        let mut rest = frame.get(12..).ok_or(FrameError::Truncated)?;
        if rest.starts_with(&VLAN_TAG) {
            rest = rest.get(4..).ok_or(FrameError::Truncated)?;
        }
        let kind = rest.get(..2).ok_or(FrameError::Truncated)?;
        if kind != ETHERTYPE {
            return Err(FrameError::EtherType);
        }
        Self::parse_tlvs(&rest[2..])
    }

    fn parse_tlvs(mut rest: &[u8]) -> Result<Self, FrameError> {
        let mut found = Self::default();
        for expected in [1, 2, 3] {
            let (kind, value) = split(&mut rest)?.ok_or(FrameError::Truncated)?;
            if kind != expected {
                return Err(FrameError::Order);
            }
            found.take_mandatory(kind, value).ok_or(FrameError::Length(kind))?;
        }
        while let Some((kind, value)) = split(&mut rest)? {
            if kind == 0 {
                break;
            }
            found.take_optional(kind, value);
        }
        Ok(found)
    }

    fn take_mandatory(&mut self, kind: u8, value: &[u8]) -> Option<()> {
        match kind {
            1 => self.chassis_id = identifier(value, 4, 5)?,
            2 => self.port_id = identifier(value, 3, 4)?,
            _ => self.ttl = u16_at(value, 0)?,
        }
        Some(())
    }

    /// An optional TLV that cannot be parsed is skipped.
    fn take_optional(&mut self, kind: u8, value: &[u8]) {
        match kind {
            4 => self.port_description = text(value),
            5 => self.system_name = text(value),
            6 => self.system_description = text(value),
            7 => self.capabilities = capabilities(value),
            8 => self.management_ip = self.management_ip.or_else(|| management_ip(value)),
            127 => self.take_organization(value),
            _ => {}
        }
    }

    /// The port VLAN ID (802.1Q, D.2.1) takes precedence over VLAN names (D.2.3).
    fn take_organization(&mut self, value: &[u8]) {
        let Some(value) = value.strip_prefix(&IEEE_8021) else { return };
        let vlan = u16_at(value, 1).filter(|id| (1..=4094).contains(id));
        match value.first() {
            Some(1) => self.vlan_id = vlan.or(self.vlan_id),
            Some(3) => self.vlan_id = self.vlan_id.or(vlan),
            _ => {}
        }
    }
}

/// Splits off the next TLV: 7 bits of type, 9 of length. `None` at the end of the frame.
fn split<'a>(rest: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, FrameError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let header = u16_at(rest, 0).ok_or(FrameError::Truncated)?;
    let length = usize::from(header & 0x1ff);
    let value = rest.get(2..2 + length).ok_or(FrameError::Truncated)?;
    *rest = &rest[2 + length..];
    Ok(Some((header.to_be_bytes()[0] >> 1, value)))
}

/// Chassis or port identifier: one byte of subtype, 1 to 255 of value.
fn identifier(value: &[u8], mac: u8, network: u8) -> Option<String> {
    let (subtype, value) = value.split_first().filter(|(_, value)| !value.is_empty())?;
    let special = if *subtype == mac {
        <[u8; 6]>::try_from(value).ok().map(|octets| hex(&octets))
    } else if *subtype == network {
        let (family, address) = value.split_first()?;
        address_of(*family, address).map(|address| address.to_string())
    } else {
        Some(text(value)).filter(|text| !text.is_empty())
    };
    Some(special.unwrap_or_else(|| hex(value)))
}

/// Management address TLV: length of subtype and address, subtype, address, then the interface.
fn management_ip(value: &[u8]) -> Option<IpAddr> {
    let (length, rest) = value.split_first()?;
    let (family, address) = rest.get(..usize::from(*length))?.split_first()?;
    address_of(*family, address)
}

/// An address by its IANA address family number.
fn address_of(family: u8, address: &[u8]) -> Option<IpAddr> {
    match family {
        1 => <[u8; 4]>::try_from(address).ok().map(|octets| Ipv4Addr::from(octets).into()),
        2 => <[u8; 16]>::try_from(address).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn capabilities(value: &[u8]) -> Vec<&'static str> {
    let enabled = u16_at(value, 2).unwrap_or(0);
    let names = CAPABILITIES.iter().enumerate();
    names.filter(|(bit, _)| enabled >> bit & 1 == 1).map(|(_, name)| *name).collect()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// A neighbor's text without control characters, because it ends up in logs and terminals.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim().to_owned()
}

#[cfg(test)]
mod tests;
