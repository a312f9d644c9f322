//! Identifies the sender of a packet.

use crate::client::{Client, usable};
use metal_wire::v4::{Options, Packet, code, sub_option};

/// Longest client identifier that is remembered; a DUID has at most 130 octets.
const MAX_ID: usize = 255;
const ETHERNET: u8 = 1;

/// Whether an identifier distinguishes its sender. One that is made from an Ethernet address does
/// if the address does.
fn tells(id: &[u8]) -> bool {
    let is_ours = match id {
        [ETHERNET, mac @ ..] => {
            <[u8; 6]>::try_from(mac).ok().is_none_or(|mac| usable(mac).is_some())
        }
        _ => true,
    };
    (2..=MAX_ID).contains(&id.len()) && is_ours
}

impl Client {
    /// The sender of a packet; `None` if it does not identify itself.
    pub fn of(packet: &Packet) -> Option<Self> {
        let [mac @ .., _, _, _, _, _, _, _, _, _, _] = packet.chaddr;
        let is_ethernet = packet.htype == ETHERNET && packet.hlen == 6;
        if let Some(mac) = usable(mac).filter(|_| is_ethernet) {
            return Some(Self::Mac(mac));
        }
        let id = packet.options.get(code::CLIENT_ID).filter(|id| tells(id));
        id.map(|id| Self::Id(id.into())).or_else(|| Self::of_hardware(packet))
    }

    /// Identifies a client by hardware type and address (RFC 2131, section 4.2), if it is not
    /// Ethernet.
    fn of_hardware(packet: &Packet) -> Option<Self> {
        let address = packet.chaddr.get(..usize::from(packet.hlen))?;
        let blank = address.iter().all(|byte| *byte == 0) || address.iter().all(|it| *it == 0xff);
        let is_other = packet.htype != ETHERNET && !blank;
        is_other.then(|| Self::Id([&[packet.htype][..], address].concat().into()))
    }
}

/// What a relay adds (option 82).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relay {
    /// The link of the client, if it is not that of `giaddr` (RFC 3527).
    pub(super) link: Option<std::net::Ipv4Addr>,
    /// The server identifier to use, so that clients renew through the relay (RFC 5107).
    pub(super) server_id: Option<std::net::Ipv4Addr>,
    /// Whether to answer to the source port of the packet (RFC 8357).
    pub(super) to_source_port: bool,
}

impl Relay {
    pub(super) fn of(options: &Options) -> Self {
        const LINK_SELECTION: u8 = 5;
        const SERVER_ID_OVERRIDE: u8 = 11;
        const SOURCE_PORT: u8 = 19;
        let Some(data) = options.get(code::RELAY) else { return Self::default() };
        let address = |code| <[u8; 4]>::try_from(sub_option(data, code)?).ok().map(Into::into);
        Self {
            link: address(LINK_SELECTION),
            server_id: address(SERVER_ID_OVERRIDE),
            to_source_port: sub_option(data, SOURCE_PORT).is_some(),
        }
    }
}
