//! Packets of a client: those it sends, and what it needs of an answer.

use crate::init::boot_url::BootUrl;
use metal_wire::v4::{BOOT_REPLY, MessageType, Options, Packet, code};
use std::net::Ipv4Addr;

/// Routes stand before the router, which counts only where there are none (RFC 3442). By them, without the class of the
/// answer, for which firmware asks, and as we do not tell the version of our interface, servers of ours know who is up,
/// and needs an address in any case.
const WANTED: [u8; 8] = [
    code::SUBNET_MASK,
    code::ROUTES,
    code::ROUTER,
    code::DNS,
    code::MTU,
    code::LEASE_TIME,
    code::RENEWAL,
    code::BOOT_FILE,
];

/// Fits into an Ethernet frame without fragmentation.
pub(super) const LARGEST: u16 = 1472;

/// Makes the client look like the machine's firmware, to be told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firmware {
    /// The machine's UUID as in SMBIOS (RFC 4578, section 2.3).
    pub(crate) uuid: Option<[u8; 16]>,
}

impl Firmware {
    /// UEFI HTTP boot (IANA "Processor Architecture Types").
    pub(crate) const ARCHITECTURE: u16 = if cfg!(target_arch = "aarch64") { 19 } else { 16 };

    /// Its vendor class.
    pub(crate) fn class() -> String {
        format!("HTTPClient:Arch:{:05}:UNDI:003000", Self::ARCHITECTURE)
    }

    fn add(self, options: &mut Options) {
        options.set(code::VENDOR_CLASS, Self::class());
        options.set(code::ARCHITECTURE, Self::ARCHITECTURE.to_be_bytes());
        if let Some(uuid) = self.uuid {
            options.set(code::MACHINE_ID, [&[0], &uuid[..]].concat());
        }
    }
}

/// A packet to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) kind: MessageType,
    pub(super) xid: u32,
    /// Seconds since we started asking.
    pub(super) secs: u16,
    pub(super) mac: [u8; 6],
    /// Our address, once assigned.
    pub(super) ciaddr: Option<Ipv4Addr>,
    /// Whether to look like the firmware.
    pub(super) firmware: Option<Firmware>,
    /// Options besides those of every packet.
    pub(super) options: &'a [(u8, Ipv4Addr)],
}

impl Request<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut packet = Packet {
            xid: self.xid,
            secs: self.secs,
            // Without an address the kernel accepts no unicast.
            broadcast: self.ciaddr.is_none(),
            ciaddr: self.ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED),
            ..Packet::default()
        };
        packet.chaddr[..self.mac.len()].copy_from_slice(&self.mac);
        let options = &mut packet.options;
        options.set(code::MESSAGE_TYPE, [self.kind as u8]);
        for (code, address) in self.options {
            options.set(*code, address.octets());
        }
        options.set(code::MAX_SIZE, LARGEST.to_be_bytes());
        match self.firmware {
            Some(firmware) => firmware.add(options),
            None => options.set(code::VENDOR_CLASS, b"metalprobe"),
        }
        options.set(code::PARAMETERS, WANTED);
        packet.encode()
    }
}

/// A packet of a server.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    packet: Packet,
    pub(super) kind: MessageType,
}

impl Answer {
    /// Parses an answer to the transaction `xid` of `mac`; `None` for anything else.
    pub(super) fn parse(bytes: &[u8], xid: u32, mac: [u8; 6]) -> Option<Self> {
        let packet = Packet::parse(bytes).ok()?;
        let is_ours = packet.xid == xid && packet.chaddr.starts_with(&mac);
        let kind = MessageType::of(&packet)?;
        (is_ours && packet.op == BOOT_REPLY).then_some(Self { packet, kind })
    }

    /// The address assigned to us.
    pub(super) fn yiaddr(&self) -> Ipv4Addr {
        self.packet.yiaddr
    }

    /// The first address of an option.
    pub(super) fn address(&self, wanted: u8) -> Option<Ipv4Addr> {
        self.addresses(wanted).next()
    }

    /// The addresses of an option.
    pub(super) fn addresses(&self, wanted: u8) -> impl Iterator<Item = Ipv4Addr> {
        let value = self.packet.options.get(wanted).unwrap_or_default();
        value.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets))
    }

    /// The boot URL, from the option or the `file` field.
    pub(super) fn boot_url(&self) -> Option<BootUrl> {
        let value = self.packet.options.get(code::BOOT_FILE).unwrap_or(&self.packet.file);
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        BootUrl::new(std::str::from_utf8(&value[..end]).ok()?)
    }

    /// The value of an option, as it is.
    pub(super) fn value(&self, wanted: u8) -> Option<&[u8]> {
        self.packet.options.get(wanted)
    }

    /// The value of an option of two octets.
    pub(super) fn short(&self, wanted: u8) -> Option<u16> {
        self.packet.options.u16(wanted)
    }

    /// The value of a numeric option.
    pub(super) fn number(&self, wanted: u8) -> Option<u32> {
        self.packet.options.u32(wanted)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    pub(crate) const XID: u32 = 0x1234_5678;

    /// A server's answer with these options.
    pub(crate) fn answer(yiaddr: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut packet =
            Packet { op: BOOT_REPLY, xid: XID, yiaddr: yiaddr.into(), ..Packet::default() };
        packet.chaddr[..6].copy_from_slice(&MAC);
        for (code, value) in options {
            packet.options.set(*code, *value);
        }
        packet.encode()
    }

    fn request(kind: MessageType) -> Request<'static> {
        Request { kind, xid: XID, secs: 3, mac: MAC, ciaddr: None, firmware: None, options: &[] }
    }

    #[test]
    fn a_request_is_what_servers_expect() {
        let address = Ipv4Addr::new(10, 0, 2, 15);
        let options = &[(code::REQUESTED_ADDRESS, address)];
        let request = Request { options, ..request(MessageType::Request) };
        let bytes = request.encode();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 3, 0x80, 0]);
        assert_eq!(bytes[28..34], MAC);
        assert_eq!(bytes.len(), 300, "old relays drop anything shorter");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(MessageType::of(&packet), Some(MessageType::Request));
        assert_eq!(packet.options.address(code::REQUESTED_ADDRESS), Some(address));
        let wanted = packet.options.get(code::PARAMETERS).unwrap();
        let place = |code| wanted.iter().position(|other| *other == code);
        assert!(place(code::MTU).is_some() && place(code::ROUTES) < place(code::ROUTER));
        assert!(place(code::ROUTES).is_some());
        let renewal = Request { ciaddr: Some(address), ..request }.encode();
        assert_eq!(renewal[10..16], [0, 0, 10, 0, 2, 15], "an answer may be unicast now");
    }

    #[test]
    fn a_machine_may_ask_like_its_firmware() {
        let uuid = *b"0123456789abcdef";
        let firmware = Some(Firmware { uuid: Some(uuid) });
        let bytes = Request { firmware, ..request(MessageType::Discover) }.encode();
        let packet = Packet::parse(&bytes).unwrap();
        let option = |code| packet.options.get(code).unwrap();
        assert!(option(code::VENDOR_CLASS).starts_with(b"HTTPClient:Arch:000"));
        let wants = |wanted| option(code::PARAMETERS).contains(&wanted);
        assert!(wants(code::ROUTES) && !wants(code::VENDOR_CLASS), "unlike firmware");
        assert_eq!(packet.options.get(code::INTERFACE), None, "firmware tells it");
        assert_eq!(option(code::MACHINE_ID), [&[0], &uuid[..]].concat());
        assert_eq!(option(code::ARCHITECTURE).len(), 2);
    }

    #[test]
    fn the_url_of_what_to_boot_may_be_in_an_option_or_in_the_field() {
        let kind = (code::MESSAGE_TYPE, &[MessageType::Ack as u8][..]);
        let url = "http://10.0.2.2:8083/httpboot/a.efi";
        let read = |bytes: &[u8]| {
            Answer::parse(bytes, XID, MAC).unwrap().boot_url().map(|url| url.as_str().to_owned())
        };
        let mut bytes = answer([10, 0, 2, 15], &[kind]);
        assert_eq!(read(&bytes), None);
        bytes[108..108 + url.len()].copy_from_slice(url.as_bytes());
        assert_eq!(read(&bytes), Some(url.to_owned()));
        let option = answer([0; 4], &[kind, (code::BOOT_FILE, url.as_bytes())]);
        assert_eq!(read(&option), Some(url.to_owned()));
        for other in [&b"snponly.efi"[..], b"tftp://a/b", &[0xff; 9]] {
            assert_eq!(read(&answer([0; 4], &[kind, (code::BOOT_FILE, other)])), None);
        }
    }

    #[test]
    fn answers_to_others_are_no_answers() {
        let bytes = answer([10, 0, 2, 15], &[(code::MESSAGE_TYPE, &[MessageType::Offer as u8])]);
        assert!(Answer::parse(&bytes, XID, MAC).is_some());
        assert!(Answer::parse(&bytes, XID + 1, MAC).is_none());
        assert!(Answer::parse(&bytes, XID, [0; 6]).is_none());
        let mut request = bytes;
        request[0] = 1;
        assert!(Answer::parse(&request, XID, MAC).is_none());
    }

    #[test]
    fn options_may_be_in_the_fields_of_the_header() {
        let kind = (code::MESSAGE_TYPE, &[MessageType::Ack as u8][..]);
        let mut bytes = answer([10, 0, 2, 15], &[kind, (code::OVERLOAD, &[3])]);
        bytes[108..115].copy_from_slice(&[code::SERVER_ID, 4, 10, 0, 2, 2, code::END]);
        bytes[44..51].copy_from_slice(&[code::ROUTER, 4, 10, 0, 2, 1, code::END]);
        let answer = Answer::parse(&bytes, XID, MAC).unwrap();
        assert_eq!(answer.address(code::SERVER_ID), Some([10, 0, 2, 2].into()));
        assert_eq!(answer.address(code::ROUTER), Some([10, 0, 2, 1].into()));
    }

    #[test]
    fn an_answer_cut_at_any_byte_is_read_without_harm() {
        let kind = (code::MESSAGE_TYPE, &[MessageType::Ack as u8][..]);
        let whole = answer([10, 0, 2, 15], &[kind, (code::DNS, &[9; 255]), (code::OVERLOAD, &[3])]);
        for length in 0..whole.len() {
            if let Some(answer) = Answer::parse(&whole[..length], XID, MAC) {
                for code in 0..=255 {
                    answer.addresses(code).for_each(drop);
                }
            }
        }
    }
}
