//! Packets as bytes: what a client sends, and as much of an answer as it needs.

use std::net::Ipv4Addr;

/// Message types (RFC 2132, section 9.6).
pub(super) mod kind {
    pub(in super::super) const DISCOVER: u8 = 1;
    pub(in super::super) const OFFER: u8 = 2;
    pub(in super::super) const REQUEST: u8 = 3;
    pub(in super::super) const ACK: u8 = 5;
    pub(in super::super) const NAK: u8 = 6;
}

/// Codes of options.
pub(super) mod code {
    pub(in super::super) const SUBNET_MASK: u8 = 1;
    pub(in super::super) const ROUTER: u8 = 3;
    pub(in super::super) const DNS: u8 = 6;
    pub(in super::super) const REQUESTED_ADDRESS: u8 = 50;
    pub(in super::super) const LEASE_TIME: u8 = 51;
    pub(in super::super) const OVERLOAD: u8 = 52;
    pub(in super::super) const MESSAGE_TYPE: u8 = 53;
    pub(in super::super) const SERVER_ID: u8 = 54;
    pub(in super::super) const PARAMETERS: u8 = 55;
    pub(in super::super) const MAX_SIZE: u8 = 57;
    pub(in super::super) const RENEWAL: u8 = 58;
    pub(in super::super) const VENDOR_CLASS: u8 = 60;
    pub(in super::super) const BOOT_FILE: u8 = 67;
    pub(in super::super) const ARCHITECTURE: u8 = 93;
    pub(in super::super) const MACHINE_ID: u8 = 97;
}

const WANTED: [u8; 6] =
    [code::SUBNET_MASK, code::ROUTER, code::DNS, code::LEASE_TIME, code::RENEWAL, code::BOOT_FILE];

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const BROADCAST: u16 = 0x8000;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
const OPTIONS: usize = 240;
/// Old relays drop anything shorter (RFC 951).
const SHORTEST: usize = 300;
const PAD: u8 = 0;
const END: u8 = 255;
/// What an Ethernet link carries without fragments.
pub(super) const LARGEST: u16 = 1472;

/// A machine that asks like its firmware, to be told what that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Firmware {
    /// Its UUID, as SMBIOS has it (RFC 4578, section 2.3).
    pub(in super::super) uuid: Option<[u8; 16]>,
}

impl Firmware {
    /// UEFI HTTP boot (IANA "Processor Architecture Types").
    pub(in super::super) const ARCHITECTURE: u16 =
        if cfg!(target_arch = "aarch64") { 19 } else { 16 };

    /// Its vendor class.
    pub(in super::super) fn class() -> String {
        format!("HTTPClient:Arch:{:05}:UNDI:003000", Self::ARCHITECTURE)
    }

    fn put(self, bytes: &mut Vec<u8>) {
        put(bytes, code::VENDOR_CLASS, Self::class().as_bytes());
        put(bytes, code::ARCHITECTURE, &Self::ARCHITECTURE.to_be_bytes());
        if let Some(uuid) = self.uuid {
            put(bytes, code::MACHINE_ID, &[&[0], &uuid[..]].concat());
        }
    }
}

/// A packet of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) kind: u8,
    pub(super) xid: u32,
    /// Seconds since we began to ask.
    pub(super) secs: u16,
    pub(super) mac: [u8; 6],
    /// Our address, once it is ours.
    pub(super) ciaddr: Option<Ipv4Addr>,
    /// Whether it is to look like one of the firmware.
    pub(super) firmware: Option<Firmware>,
    /// Options beside those that every packet has.
    pub(super) options: &'a [(u8, Ipv4Addr)],
}

impl Request<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![REQUEST, ETHERNET, 6, 0];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend(self.secs.to_be_bytes());
        // Without an address the kernel takes nothing that is sent to one.
        let flags = if self.ciaddr.is_none() { BROADCAST } else { 0 };
        bytes.extend(flags.to_be_bytes());
        bytes.extend(self.ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes.extend([0; 12]);
        bytes.extend(self.mac);
        bytes.resize(OPTIONS - COOKIE.len(), 0);
        bytes.extend(COOKIE);
        put(&mut bytes, code::MESSAGE_TYPE, &[self.kind]);
        for (code, address) in self.options {
            put(&mut bytes, *code, &address.octets());
        }
        put(&mut bytes, code::MAX_SIZE, &LARGEST.to_be_bytes());
        match self.firmware {
            Some(firmware) => firmware.put(&mut bytes),
            None => put(&mut bytes, code::VENDOR_CLASS, b"metalprobe"),
        }
        put(&mut bytes, code::PARAMETERS, &WANTED);
        bytes.push(END);
        bytes.resize(bytes.len().max(SHORTEST), PAD);
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    bytes.extend([code, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
    bytes.extend(value);
}

/// A packet of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    bytes: &'a [u8],
    pub(super) kind: u8,
    pub(super) yiaddr: Ipv4Addr,
}

impl<'a> Answer<'a> {
    /// Reads an answer to what `mac` asked as `xid`; anything else is none.
    pub(super) fn parse(bytes: &'a [u8], xid: u32, mac: [u8; 6]) -> Option<Self> {
        let ours = bytes.get(4..8)? == xid.to_be_bytes() && bytes.get(28..34)? == mac;
        let reply = bytes.first() == Some(&REPLY) && bytes.get(236..OPTIONS)? == COOKIE;
        let yiaddr = <[u8; 4]>::try_from(bytes.get(16..20)?).ok()?.into();
        let answer = Self { bytes, kind: 0, yiaddr };
        let kind = *answer.option(code::MESSAGE_TYPE)?.first()?;
        (ours && reply).then_some(Self { kind, ..answer })
    }

    /// The first value of an option, wherever it is.
    pub(super) fn option(&self, wanted: u8) -> Option<&'a [u8]> {
        let options = self.bytes.get(OPTIONS..)?;
        let overload = find(options, code::OVERLOAD).and_then(|value| value.first().copied());
        let overload = overload.unwrap_or(0);
        let fields = [(1, FILE), (2, SNAME)].into_iter().filter(|(bit, _)| overload & bit != 0);
        let fields = fields.filter_map(|(_, field)| self.bytes.get(field));
        std::iter::once(options).chain(fields).find_map(|field| find(field, wanted))
    }

    /// The first address of an option.
    pub(super) fn address(&self, wanted: u8) -> Option<Ipv4Addr> {
        self.addresses(wanted).next()
    }

    /// The addresses of an option.
    pub(super) fn addresses(&self, wanted: u8) -> impl Iterator<Item = Ipv4Addr> + 'a {
        let value = self.option(wanted).unwrap_or_default();
        value.as_chunks::<4>().0.iter().map(|octets| Ipv4Addr::from(*octets))
    }

    /// The URL of what to boot, in the option for it or in the field.
    pub(super) fn boot_url(&self) -> Option<&'a str> {
        let field = self.bytes.get(FILE).filter(|_| self.option(code::OVERLOAD).is_none());
        let value = self.option(code::BOOT_FILE).or(field)?;
        let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
        let text = std::str::from_utf8(&value[..end]).ok()?;
        (text.starts_with("http://") || text.starts_with("https://")).then_some(text)
    }

    /// An option with a number.
    pub(super) fn number(&self, wanted: u8) -> Option<u32> {
        self.option(wanted)?.try_into().ok().map(u32::from_be_bytes)
    }
}

fn find(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, rest @ ..] = options {
        match *code {
            PAD => options = rest,
            END => return None,
            code => {
                let (length, rest) = rest.split_first()?;
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                if code == wanted {
                    return Some(value);
                }
                options = rest;
            }
        }
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    pub(in super::super) const XID: u32 = 0x1234_5678;

    /// The answer of a server with these options.
    pub(in super::super) fn answer(yiaddr: [u8; 4], options: &[(u8, &[u8])]) -> Vec<u8> {
        let request = Request {
            kind: kind::DISCOVER,
            xid: XID,
            secs: 0,
            mac: MAC,
            ciaddr: None,
            firmware: None,
            options: &[],
        };
        let mut bytes = request.encode()[..OPTIONS].to_vec();
        bytes[0] = REPLY;
        bytes[16..20].copy_from_slice(&yiaddr);
        for (code, value) in options {
            put(&mut bytes, *code, value);
        }
        bytes.push(END);
        bytes
    }

    #[test]
    fn a_request_is_what_servers_expect() {
        let address = Ipv4Addr::new(10, 0, 2, 15);
        let options = [(code::REQUESTED_ADDRESS, address)];
        let request = Request {
            kind: kind::REQUEST,
            xid: XID,
            secs: 3,
            mac: MAC,
            ciaddr: None,
            firmware: None,
            options: &options,
        };
        let bytes = request.encode();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78, 0, 3, 0x80, 0]);
        assert_eq!(bytes[28..34], MAC);
        assert_eq!(find(&bytes[OPTIONS..], code::MESSAGE_TYPE), Some(&[kind::REQUEST][..]));
        let asked = find(&bytes[OPTIONS..], code::REQUESTED_ADDRESS);
        assert_eq!(asked, Some(&address.octets()[..]));
        assert_eq!(bytes.len(), SHORTEST);
        let renewal = Request { ciaddr: Some(address), ..request }.encode();
        assert_eq!(renewal[10..16], [0, 0, 10, 0, 2, 15], "an answer may be unicast now");
    }

    #[test]
    fn a_machine_may_ask_like_its_firmware() {
        let uuid = *b"0123456789abcdef";
        let kind = kind::DISCOVER;
        let firmware = Some(Firmware { uuid: Some(uuid) });
        let options = &[];
        let bytes =
            Request { kind, xid: XID, secs: 0, mac: MAC, ciaddr: None, firmware, options }.encode();
        let option = |code| find(&bytes[OPTIONS..], code).unwrap();
        assert!(option(code::VENDOR_CLASS).starts_with(b"HTTPClient:Arch:000"));
        assert_eq!(option(code::MACHINE_ID), [&[0], &uuid[..]].concat());
        assert_eq!(option(code::ARCHITECTURE).len(), 2);
    }

    #[test]
    fn the_url_of_what_to_boot_may_be_in_an_option_or_in_the_field() {
        let kind = (code::MESSAGE_TYPE, &[kind::ACK][..]);
        let url = "http://10.0.2.2:8083/httpboot/a.efi";
        let read =
            |bytes: &[u8]| Answer::parse(bytes, XID, MAC).unwrap().boot_url().map(str::to_owned);
        let mut bytes = answer([10, 0, 2, 15], &[kind]);
        assert_eq!(read(&bytes), None);
        bytes[FILE][..url.len()].copy_from_slice(url.as_bytes());
        assert_eq!(read(&bytes), Some(url.to_owned()));
        let option = answer([0; 4], &[kind, (code::BOOT_FILE, url.as_bytes())]);
        assert_eq!(read(&option), Some(url.to_owned()));
        for other in [&b"snponly.efi"[..], b"tftp://a/b", &[0xff; 9]] {
            assert_eq!(read(&answer([0; 4], &[kind, (code::BOOT_FILE, other)])), None);
        }
    }

    #[test]
    fn answers_to_others_are_no_answers() {
        let bytes = answer([10, 0, 2, 15], &[(code::MESSAGE_TYPE, &[kind::OFFER])]);
        assert!(Answer::parse(&bytes, XID, MAC).is_some());
        assert!(Answer::parse(&bytes, XID + 1, MAC).is_none());
        assert!(Answer::parse(&bytes, XID, [0; 6]).is_none());
        let mut request = bytes;
        request[0] = REQUEST;
        assert!(Answer::parse(&request, XID, MAC).is_none());
    }

    #[test]
    fn options_may_be_in_the_fields_of_the_header() {
        let kind = (code::MESSAGE_TYPE, &[kind::ACK][..]);
        let mut bytes = answer([10, 0, 2, 15], &[kind, (code::OVERLOAD, &[3])]);
        bytes[FILE][..7].copy_from_slice(&[code::SERVER_ID, 4, 10, 0, 2, 2, END]);
        bytes[SNAME][..7].copy_from_slice(&[code::ROUTER, 4, 10, 0, 2, 1, END]);
        let answer = Answer::parse(&bytes, XID, MAC).unwrap();
        assert_eq!(answer.address(code::SERVER_ID), Some([10, 0, 2, 2].into()));
        assert_eq!(answer.address(code::ROUTER), Some([10, 0, 2, 1].into()));
    }

    #[test]
    fn an_answer_cut_at_any_byte_is_read_without_harm() {
        let kind = (code::MESSAGE_TYPE, &[kind::ACK][..]);
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
