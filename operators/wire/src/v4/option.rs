//! Options of a packet, as bytes, in order.

use std::net::Ipv4Addr;

/// Codes of the options that we read or write (IANA "BOOTP Vendor Extensions and DHCP Options").
pub mod code {
    /// Padding, without a length.
    pub const PAD: u8 = 0;
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers.
    pub const ROUTER: u8 = 3;
    /// DNS servers.
    pub const DNS: u8 = 6;
    /// Host name.
    pub const HOST_NAME: u8 = 12;
    /// Domain name.
    pub const DOMAIN_NAME: u8 = 15;
    /// MTU of the interface.
    pub const MTU: u8 = 26;
    /// Broadcast address.
    pub const BROADCAST: u8 = 28;
    /// NTP servers.
    pub const NTP: u8 = 42;
    /// Vendor-specific information; for PXE clients, PXE sub-options.
    pub const VENDOR_SPECIFIC: u8 = 43;
    /// The address that the client requests.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Lease time, in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// `file` and `sname` carry options: 1, 2, or 3 for both.
    pub const OVERLOAD: u8 = 52;
    /// Message type.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Server identifier.
    pub const SERVER_ID: u8 = 54;
    /// Codes that the client requests.
    pub const PARAMETERS: u8 = 55;
    /// A message for people.
    pub const MESSAGE: u8 = 56;
    /// The largest datagram that the client accepts.
    pub const MAX_SIZE: u8 = 57;
    /// T1, in seconds.
    pub const RENEWAL: u8 = 58;
    /// T2, in seconds.
    pub const REBINDING: u8 = 59;
    /// Vendor class.
    pub const VENDOR_CLASS: u8 = 60;
    /// Client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// TFTP server name.
    pub const TFTP_SERVER: u8 = 66;
    /// Boot file name.
    pub const BOOT_FILE: u8 = 67;
    /// User class (RFC 3004).
    pub const USER_CLASS: u8 = 77;
    /// Relay agent information (RFC 3046).
    pub const RELAY: u8 = 82;
    /// Client system architectures (RFC 4578).
    pub const ARCHITECTURE: u8 = 93;
    /// Client network interface (RFC 4578).
    pub const INTERFACE: u8 = 94;
    /// Machine identifier (RFC 4578).
    pub const MACHINE_ID: u8 = 97;
    /// Routes (RFC 3442).
    pub const ROUTES: u8 = 121;
    /// iPXE's own options.
    pub const IPXE: u8 = 175;
    /// Provisioning script of a SONiC switch.
    pub const ZTP: u8 = 239;
    /// End of the options, without a length.
    pub const END: u8 = 255;
}

/// Options by code. Each code occurs once: the pieces of a long option are joined (RFC 3396).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    /// The value of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(other, _)| *other == code).map(|(_, value)| value.as_slice())
    }

    /// The value of an option that always has `N` octets; `None` also if its length is wrong. Where such an option
    /// is repeated, which it must not be (RFC 2131, section 4.1), its values were joined: the same one again says
    /// nothing new, and different ones say nothing.
    pub fn array<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        let (values, rest) = self.get(code)?.as_chunks::<N>();
        let (first, others) = values.split_first()?;
        let is_one = rest.is_empty() && others.iter().all(|other| other == first);
        is_one.then_some(*first)
    }

    /// The value of an option if it is one address; `None` also if its length is wrong.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.array::<4>(code).map(Ipv4Addr::from)
    }

    /// The value of an option if it is one `u16`; `None` also if its length is wrong.
    pub fn u16(&self, code: u8) -> Option<u16> {
        self.array(code).map(u16::from_be_bytes)
    }

    /// The value of an option if it is one `u32`; `None` also if its length is wrong.
    pub fn u32(&self, code: u8) -> Option<u32> {
        self.array(code).map(u32::from_be_bytes)
    }

    /// The codes that a client asks for; `None` if it sends no list, or one without a code, which there cannot be (RFC
    /// 2132, section 9.8).
    pub fn parameters(&self) -> Option<&[u8]> {
        self.get(code::PARAMETERS).filter(|list| !list.is_empty())
    }

    /// Sets an option, appending it if it is new.
    pub fn set(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        match self.0.iter_mut().find(|(other, _)| *other == code) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((code, value.into())),
        }
    }

    /// Appends to the value of an option, as RFC 3396 demands for one that is repeated.
    pub(super) fn join(&mut self, code: u8, piece: &[u8]) {
        match self.0.iter_mut().find(|(other, _)| *other == code) {
            Some((_, value)) => value.extend_from_slice(piece),
            None => self.0.push((code, piece.to_vec())),
        }
    }

    /// Codes and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_slice()))
    }
}

/// The size of an option in a packet: each piece of up to 255 bytes has a header of two.
pub fn encoded_len(value: &[u8]) -> usize {
    value.len() + 2 * value.len().div_ceil(usize::from(u8::MAX)).max(1)
}

/// Finds a sub-option of an encapsulating option (43, 82, 175). Stops without an error where they
/// are malformed.
pub fn sub_option(mut data: &[u8], wanted: u8) -> Option<&[u8]> {
    while let [code, len, rest @ ..] = data {
        let (value, rest) = rest.split_at_checked(usize::from(*len))?;
        if *code == wanted {
            return Some(value);
        }
        data = rest;
    }
    None
}
