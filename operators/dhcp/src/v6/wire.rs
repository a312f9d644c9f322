//! A DHCPv6 packet as bytes (RFC 9915, sections 8, 9 and 21.1), with the relays that it came
//! through.

use std::net::Ipv6Addr;

/// Codes of the options that we read or write (IANA "Dynamic Host Configuration Protocol for
/// IPv6").
pub mod code {
    /// Client identifier.
    pub const CLIENT_ID: u16 = 1;
    /// Server identifier.
    pub const SERVER_ID: u16 = 2;
    /// Identity association of addresses.
    pub const IA_NA: u16 = 3;
    /// An address in an identity association.
    pub const IA_ADDRESS: u16 = 5;
    /// Codes that the client wants.
    pub const OPTION_REQUEST: u16 = 6;
    /// What a relay carries.
    pub const RELAY_MESSAGE: u16 = 9;
    /// How a message fared.
    pub const STATUS: u16 = 13;
    /// The client wants an address without a REQUEST.
    pub const RAPID_COMMIT: u16 = 14;
    /// User class.
    pub const USER_CLASS: u16 = 15;
    /// Vendor class.
    pub const VENDOR_CLASS: u16 = 16;
    /// The relay's name for the client's link; echoed.
    pub const INTERFACE_ID: u16 = 18;
    /// DNS servers.
    pub const DNS: u16 = 23;
    /// Domains to search.
    pub const SEARCH: u16 = 24;
    /// Identity association of prefixes.
    pub const IA_PD: u16 = 25;
    /// The relay's name for the client (RFC 4649); echoed.
    pub const REMOTE_ID: u16 = 37;
    /// Options that a relay wants back (RFC 4994).
    pub const ECHO_REQUEST: u16 = 43;
    /// NTP servers (RFC 5908).
    pub const NTP: u16 = 56;
    /// Boot file URL (RFC 5970).
    pub const BOOT_FILE: u16 = 59;
    /// Parameters of the boot file (RFC 5970).
    pub const BOOT_PARAMETERS: u16 = 60;
    /// Client system architectures (RFC 5970).
    pub const ARCHITECTURE: u16 = 61;
    /// Client network interface (RFC 5970).
    pub const INTERFACE: u16 = 62;
    /// The client's link-layer address, from the relay next to it (RFC 6939).
    pub const LINK_LAYER: u16 = 79;
    /// The relay wants its answer at the port that it sent from (RFC 8357); echoed.
    pub const RELAY_PORT: u16 = 135;
    /// Where a switch finds what to configure itself with: of SONiC, by private use.
    pub const ZTP: u16 = 239;
}

/// The type of a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::FromRepr, strum::IntoStaticStr,
)]
#[repr(u8)]
#[expect(missing_docs, reason = "RFC 9915, section 7.3")]
pub enum MessageType {
    Solicit = 1,
    Advertise = 2,
    Request = 3,
    Confirm = 4,
    Renew = 5,
    Rebind = 6,
    Reply = 7,
    Release = 8,
    Decline = 9,
    Reconfigure = 10,
    InformationRequest = 11,
}

/// Message type of what a relay sends to a server.
pub(super) const RELAY_FORWARD: u8 = 12;
/// Message type of what a server sends to a relay.
pub(super) const RELAY_REPLY: u8 = 13;
/// `HOP_COUNT_LIMIT` (RFC 9915, section 7.6).
const MAX_RELAYS: usize = 8;

/// A message of a client or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The relays that it goes through, the one next to the client last.
    pub relays: Vec<Relay>,
    /// The type; of those that we know, a [`MessageType`].
    pub kind: u8,
    /// Transaction.
    pub xid: [u8; 3],
    /// Options.
    pub options: Options,
}

/// The envelope of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Whether it is on its way to the client.
    pub is_reply: bool,
    /// `hop-count`.
    pub hops: u8,
    /// `link-address`: the link of the client, or unspecified.
    pub link: Ipv6Addr,
    /// `peer-address`: who sent to the relay.
    pub peer: Ipv6Addr,
    /// Options, without the message.
    pub options: Options,
}

/// The bytes are not a DHCPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum Malformed {
    /// It ends within the fixed fields.
    #[error("packet is too short")]
    TooShort,
    /// An option ends behind its message.
    #[error("option {0} is truncated")]
    Truncated(u16),
    /// A relay carries nothing.
    #[error("relayed message is missing")]
    NoMessage,
    /// It came through more relays than are allowed.
    #[error("more than 8 relays")]
    TooManyRelays,
}

impl Packet {
    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// If its structure is broken. Values of options are not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut relays = Vec::new();
        let mut bytes = bytes;
        loop {
            match bytes {
                [RELAY_FORWARD | RELAY_REPLY, ..] if relays.len() == MAX_RELAYS => {
                    return Err(Malformed::TooManyRelays);
                }
                [kind @ (RELAY_FORWARD | RELAY_REPLY), rest @ ..] => {
                    let (relay, message) = Relay::parse(*kind == RELAY_REPLY, rest)?;
                    relays.push(relay);
                    bytes = message;
                }
                [kind, x, i, d, rest @ ..] => {
                    let options = Options::parse(rest)?;
                    return Ok(Self { relays, kind: *kind, xid: [*x, *i, *d], options });
                }
                _ => return Err(Malformed::TooShort),
            }
        }
    }

    /// The type, if we know it.
    pub fn kind(&self) -> Option<MessageType> {
        MessageType::from_repr(self.kind)
    }

    /// The packet as bytes. Options that are longer than an option can be are left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend(self.xid);
        self.options.encode(&mut out);
        self.relays.iter().rev().fold(out, |message, relay| relay.encode(&message))
    }
}

impl Relay {
    /// The envelope, and what is in it.
    fn parse(is_reply: bool, bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let (&hops, bytes) = bytes.split_first().ok_or(Malformed::TooShort)?;
        let (link, bytes) = bytes.split_first_chunk::<16>().ok_or(Malformed::TooShort)?;
        let (peer, bytes) = bytes.split_first_chunk::<16>().ok_or(Malformed::TooShort)?;
        let (mut message, mut options) = (None, Options::default());
        let mut rest = bytes;
        while let Some((code, value, behind)) = split_option(rest)? {
            match code {
                code::RELAY_MESSAGE => message = message.or(Some(value)),
                code => options.push(code, value),
            }
            rest = behind;
        }
        let relay = Self { is_reply, hops, link: (*link).into(), peer: (*peer).into(), options };
        Ok((relay, message.ok_or(Malformed::NoMessage)?))
    }

    fn encode(&self, message: &[u8]) -> Vec<u8> {
        let mut out = vec![if self.is_reply { RELAY_REPLY } else { RELAY_FORWARD }, self.hops];
        out.extend(self.link.octets());
        out.extend(self.peer.octets());
        self.options.encode(&mut out);
        put_option(&mut out, code::RELAY_MESSAGE, message);
        out
    }
}

/// Options, in their order. A code may occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u16, Vec<u8>)>);

impl Options {
    /// Reads options up to the end of `data`.
    pub(super) fn parse(data: &[u8]) -> Result<Self, Malformed> {
        let (mut options, mut rest) = (Self::default(), data);
        while let Some((code, value, behind)) = split_option(rest)? {
            options.push(code, value);
            rest = behind;
        }
        Ok(options)
    }

    /// The value of an option, the first one of its code.
    pub fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The values of all options of a code.
    pub fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(other, _)| *other == code).map(|(_, value)| value.as_slice())
    }

    /// Adds an option at the end.
    pub fn push(&mut self, code: u16, value: impl Into<Vec<u8>>) {
        self.0.push((code, value.into()));
    }

    /// Removes the options of a code.
    pub fn remove(&mut self, code: u16) {
        self.0.retain(|(other, _)| *other != code);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|(code, value)| put_option(out, *code, value));
    }
}

/// An option: its code, its value, and what is behind it.
type Split<'a> = (u16, &'a [u8], &'a [u8]);

/// The first option; `None` at the end.
fn split_option(data: &[u8]) -> Result<Option<Split<'_>>, Malformed> {
    let [c, o, rest @ ..] = data else {
        return if data.is_empty() { Ok(None) } else { Err(Malformed::TooShort) };
    };
    let code = u16::from_be_bytes([*c, *o]);
    let (len, rest) = rest.split_first_chunk::<2>().ok_or(Malformed::Truncated(code))?;
    let len = usize::from(u16::from_be_bytes(*len));
    let (value, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated(code))?;
    Ok(Some((code, value, rest)))
}

fn put_option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let Ok(len) = u16::try_from(value.len()) else { return };
    out.extend(code.to_be_bytes());
    out.extend(len.to_be_bytes());
    out.extend(value);
}
