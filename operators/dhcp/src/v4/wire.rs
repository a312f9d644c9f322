//! A DHCPv4 packet as bytes (RFC 2131, section 2; RFC 3396).
//!
//! Our own codec, because a server must live with what arrives: dhcproto 0.15 refuses a whole
//! packet for one option that is not UTF-8, panics on a hardware address longer than its field,
//! reads one of several architectures, and puts option 82 into another order before it is echoed.
//! The tests hold what is written here against dhcproto.

use super::option::{Options, code};
use std::net::Ipv4Addr;

/// `op` of a client's packet.
pub(super) const BOOT_REQUEST: u8 = 1;
/// `op` of a server's packet.
pub(super) const BOOT_REPLY: u8 = 2;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const CHADDR_LEN: usize = 16;
const SNAME_LEN: usize = 64;
const FILE_LEN: usize = 128;
/// Length of the fixed fields and the cookie.
pub(super) const HEADER_LEN: usize = 240;
/// Old relays and clients drop anything shorter (RFC 951).
const MIN_LEN: usize = 300;
const BROADCAST_FLAG: u16 = 0x8000;

/// A packet. Fields have the names of RFC 2131.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 2131, section 2, table 1")]
pub struct Packet {
    pub op: u8,
    pub htype: u8,
    pub hlen: u8,
    pub hops: u8,
    pub xid: u32,
    pub secs: u16,
    /// The broadcast bit of `flags`; the others must be zero.
    pub broadcast: bool,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: [u8; CHADDR_LEN],
    /// Without its zeros. Empty if it carried options.
    pub sname: Vec<u8>,
    /// Without its zeros. Empty if it carried options.
    pub file: Vec<u8>,
    pub options: Options,
}

/// The bytes are not a DHCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum Malformed {
    /// It ends within the fixed fields.
    #[error("packet is too short")]
    TooShort,
    /// It is plain BOOTP, or something else.
    #[error("magic cookie is missing")]
    NoCookie,
    /// The hardware address is longer than its field.
    #[error("hardware address is too long")]
    HardwareAddress,
    /// An option ends behind its field.
    #[error("option {0} is truncated")]
    Truncated(u8),
}

impl Default for Packet {
    /// A request of an Ethernet host, all zeros.
    fn default() -> Self {
        Self {
            op: BOOT_REQUEST,
            htype: 1,
            hlen: 6,
            hops: 0,
            xid: 0,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: [0; CHADDR_LEN],
            sname: Vec::new(),
            file: Vec::new(),
            options: Options::default(),
        }
    }
}

impl Packet {
    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// If its structure is broken. Values of options are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, options) =
            bytes.split_at_checked(HEADER_LEN).ok_or(Malformed::TooShort)?;
        let r = &mut reader;
        let [op, htype, hlen, hops] = take(r);
        let mut packet = Self {
            op,
            htype,
            hlen,
            hops,
            xid: u32::from_be_bytes(take(r)),
            secs: u16::from_be_bytes(take(r)),
            broadcast: u16::from_be_bytes(take(r)) & BROADCAST_FLAG != 0,
            ciaddr: take(r).into(),
            yiaddr: take(r).into(),
            siaddr: take(r).into(),
            giaddr: take(r).into(),
            chaddr: take(r),
            ..Self::default()
        };
        let (sname, file): ([u8; SNAME_LEN], [u8; FILE_LEN]) = (take(r), take(r));
        if take(r) != COOKIE {
            return Err(Malformed::NoCookie);
        }
        if usize::from(hlen) > CHADDR_LEN {
            return Err(Malformed::HardwareAddress);
        }
        packet.read_options(options)?;
        // Only the first field says which others carry options, so nothing can go round in circles.
        let overload = packet.options.get(code::OVERLOAD).and_then(|v| v.first()).copied();
        let overload = overload.unwrap_or_default();
        match overload & 1 {
            0 => packet.file = text(&file),
            _ => packet.read_options(&file)?,
        }
        match overload & 2 {
            0 => packet.sname = text(&sname),
            _ => packet.read_options(&sname)?,
        }
        Ok(packet)
    }

    fn read_options(&mut self, mut data: &[u8]) -> Result<(), Malformed> {
        while let [code, rest @ ..] = data {
            match *code {
                code::PAD => data = rest,
                code::END => break,
                code => {
                    let (&len, rest) = rest.split_first().ok_or(Malformed::Truncated(code))?;
                    let (value, rest) = rest
                        .split_at_checked(usize::from(len))
                        .ok_or(Malformed::Truncated(code))?;
                    self.options.join(code, value);
                    data = rest;
                }
            }
        }
        Ok(())
    }

    /// The packet as bytes. `sname` and `file` are cut to their fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * MIN_LEN);
        out.extend([self.op, self.htype, self.hlen, self.hops]);
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend((if self.broadcast { BROADCAST_FLAG } else { 0 }).to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(address.octets());
        }
        out.extend(self.chaddr);
        put_text(&mut out, &self.sname, SNAME_LEN);
        put_text(&mut out, &self.file, FILE_LEN);
        out.extend(COOKIE);
        for (code, value) in self.options.iter() {
            put_option(&mut out, code, value);
        }
        out.push(code::END);
        out.resize(out.len().max(MIN_LEN), code::PAD);
        out
    }
}

fn take<const N: usize>(reader: &mut &[u8]) -> [u8; N] {
    let (head, rest) = reader.split_first_chunk().expect("the fields add up to HEADER_LEN");
    *reader = rest;
    *head
}

/// A text field: what is before the first zero.
fn text(field: &[u8]) -> Vec<u8> {
    field.iter().copied().take_while(|&byte| byte != 0).collect()
}

fn put_text(out: &mut Vec<u8>, text: &[u8], len: usize) {
    let end = out.len() + len;
    out.extend(&text[..text.len().min(len)]);
    out.resize(end, 0);
}

fn put_option(out: &mut Vec<u8>, code: u8, value: &[u8]) {
    let mut pieces = value.chunks(usize::from(u8::MAX));
    // An empty value has no piece, but an option.
    let first = pieces.next().unwrap_or_default();
    for piece in std::iter::once(first).chain(pieces) {
        let len = u8::try_from(piece.len()).expect("pieces have at most 255 bytes");
        out.extend([code, len]);
        out.extend(piece);
    }
}
