//! DHCPv4 packets, with what dhcproto lacks.

use super::option::{Options, code};
use dhcproto::{
    Encodable, Encoder,
    error::EncodeError,
    v4::{
        Flags, Message,
        borrowed::{self, DhcpOptionIterator},
        encode_long_opt_bytes,
    },
};
use std::{net::Ipv4Addr, ops::Range};

/// `op` of a client's packet.
pub const BOOT_REQUEST: u8 = 1;
/// `op` of a server's packet.
pub const BOOT_REPLY: u8 = 2;

/// The magic cookie before the options, and the fixed fields before it (RFC 2131, sections 2 and 3).
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const CHADDR_LEN: usize = 16;
const SNAME: Range<usize> = 44..108;
const FILE: Range<usize> = 108..236;
/// Length of the fixed fields and the cookie.
pub const HEADER_LEN: usize = 240;
/// Old relays and clients drop anything shorter (RFC 951).
const MIN_LEN: usize = 300;

/// A packet. Fields have the names of RFC 2131.
///
/// The fixed fields and the framing of options are those of dhcproto 0.15, by
/// `v4::borrowed` and `v4::encode_long_opt_bytes`. This adds what a server, or a client that must
/// not be harmed by one, needs beyond that:
///
/// * Values are bytes. `v4::Message` refuses a whole packet for one value that is not what it should
///   be, reads one of several architectures, and takes options 43, 82 and 175 for what they are not;
///   here a malformed option costs itself alone, and [`sub_option`](super::sub_option) reads what
///   others encapsulate.
/// * Options stay in the order in which they were set: option 82 comes back as it was, behind all
///   others (RFC 3046).
/// * Pieces of an option that do not stand together are joined (RFC 3396), and options are read from
///   `file` and `sname` where option 52 says so.
/// * `hlen` is checked before dhcproto reads as many octets.
/// * An option may be empty, and packets are as long as old relays want them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "RFC 2131, section 2, table 1")]
pub struct Packet {
    pub op: u8,
    pub htype: u8,
    pub hlen: u8,
    pub hops: u8,
    pub xid: u32,
    pub secs: u16,
    /// The broadcast bit of `flags`; the other bits must be zero.
    pub broadcast: bool,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub chaddr: [u8; CHADDR_LEN],
    /// Without padding. Empty if the field carried options.
    pub sname: Vec<u8>,
    /// Without padding. Empty if the field carried options.
    pub file: Vec<u8>,
    pub options: Options,
}

/// Why bytes are not a DHCP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum PacketError {
    /// It ends within the fixed fields.
    #[error("packet is too short")]
    TooShort,
    /// It is plain BOOTP, or something else.
    #[error("magic cookie is missing")]
    NoCookie,
    /// The hardware address is longer than its field.
    #[error("hardware address is too long")]
    HardwareAddress,
}

impl Default for Packet {
    /// An empty request of an Ethernet host.
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
    /// Parses a packet.
    ///
    /// # Errors
    ///
    /// If the fixed fields are invalid. Malformed options are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let message = borrowed::Message::new(bytes).map_err(|_| PacketError::TooShort)?;
        if bytes.get(HEADER_LEN - COOKIE.len()..HEADER_LEN) != Some(&COOKIE[..]) {
            return Err(PacketError::NoCookie);
        }
        if usize::from(message.hlen()) > CHADDR_LEN {
            return Err(PacketError::HardwareAddress);
        }
        let mut packet = Self {
            op: message.opcode().into(),
            htype: message.htype().into(),
            hlen: message.hlen(),
            hops: message.hops(),
            xid: message.xid(),
            secs: message.secs(),
            broadcast: message.flags().broadcast(),
            ciaddr: message.ciaddr(),
            yiaddr: message.yiaddr(),
            siaddr: message.siaddr(),
            giaddr: message.giaddr(),
            ..Self::default()
        };
        packet.chaddr[..message.chaddr().len()].copy_from_slice(message.chaddr());
        packet.read_options(message.opts());
        // Only the options field says which others carry options, so this cannot loop.
        let overload = packet.options.get(code::OVERLOAD).and_then(|v| v.first()).copied();
        let overload = overload.unwrap_or_default();
        match overload & 1 {
            0 => packet.file = message.fname().to_vec(),
            _ => packet.read_options(DhcpOptionIterator::new(&bytes[FILE])),
        }
        match overload & 2 {
            0 => packet.sname = message.sname().to_vec(),
            _ => packet.read_options(DhcpOptionIterator::new(&bytes[SNAME])),
        }
        Ok(packet)
    }

    fn read_options(&mut self, options: DhcpOptionIterator<'_>) {
        options.for_each(|option| self.options.join(option.code().into(), option.data()));
    }

    /// Encodes the packet. `sname` and `file` are truncated to their fields.
    #[expect(clippy::missing_panics_doc, reason = "every value fits where it is written")]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * MIN_LEN);
        self.write(&mut Encoder::new(&mut out)).expect("every value fits where it is written");
        out.resize(out.len().max(MIN_LEN), code::PAD);
        out
    }

    fn write(&self, to: &mut Encoder<'_>) -> Result<(), EncodeError> {
        let chaddr = &self.chaddr[..usize::from(self.hlen).min(CHADDR_LEN)];
        let Self { xid, ciaddr, yiaddr, siaddr, giaddr, .. } = *self;
        let mut message = Message::new_with_id(xid, ciaddr, yiaddr, siaddr, giaddr, chaddr);
        message.set_opcode(self.op.into()).set_htype(self.htype.into());
        message.set_hops(self.hops).set_secs(self.secs);
        if self.broadcast {
            message.set_flags(Flags::default().set_broadcast());
        }
        let sname: [u8; SNAME.end - SNAME.start] = field(&self.sname);
        let file: [u8; FILE.end - FILE.start] = field(&self.file);
        message.set_sname(&sname).set_fname(&file);
        // Without options: dhcproto would sort and reinterpret them.
        message.encode(to)?;
        for (code, value) in self.options.iter() {
            match value {
                [] => to.write_slice(&[code, 0])?,
                value => encode_long_opt_bytes(code.into(), value, to)?,
            }
        }
        to.write_u8(code::END)
    }
}

/// Text for a fixed field, truncated or padded. dhcproto pads octet by octet.
fn field<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    let text = &text[..text.len().min(N)];
    field[..text.len()].copy_from_slice(text);
    field
}
