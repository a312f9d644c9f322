//! Options of a message, as bytes, in order.

use super::{PacketError, value::DhcpOption};
use dhcproto::{Decoder, Encodable, Encoder, error::EncodeError};

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
    /// Codes that the client requests.
    pub const OPTION_REQUEST: u16 = 6;
    /// How long the client has been asking, in hundredths of a second.
    pub const ELAPSED: u16 = 8;
    /// The message that a relay carries.
    pub const RELAY_MESSAGE: u16 = 9;
    /// Status of a request.
    pub const STATUS: u16 = 13;
    /// The client accepts an address without a REQUEST.
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
    /// When to ask for information again, in seconds.
    pub const REFRESH_TIME: u16 = 32;
    /// The relay's name for the client (RFC 4649); echoed.
    pub const REMOTE_ID: u16 = 37;
    /// Options that the relay wants echoed (RFC 4994).
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
    /// The longest pause between two Information-requests, in seconds.
    pub const MAX_RETRANSMISSION: u16 = 83;
    /// The relay wants the reply at the port it sent from (RFC 8357); echoed.
    pub const RELAY_PORT: u16 = 135;
    /// Where a SONiC switch finds its provisioning script (private use).
    pub const ZTP: u16 = 239;
}

/// Options, in their order. A code may occur several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(u16, Vec<u8>)>);

impl Options {
    /// Parses options up to the end of `data`.
    ///
    /// # Errors
    ///
    /// If the last one does not end there. Values are not checked.
    pub fn parse(data: &[u8]) -> Result<Self, PacketError> {
        Self::read(&mut Decoder::new(data))
    }

    pub(super) fn read(from: &mut Decoder<'_>) -> Result<Self, PacketError> {
        let mut options = Self::default();
        while let Some((code, value)) = next(from)? {
            options.push(code, value);
        }
        Ok(options)
    }

    /// The value of the first option with this code.
    pub fn get(&self, code: u16) -> Option<&[u8]> {
        self.all(code).next()
    }

    /// The values of all options with this code.
    pub fn all(&self, code: u16) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |(other, _)| *other == code).map(|(_, value)| value.as_slice())
    }

    /// Appends an option.
    pub fn push(&mut self, code: u16, value: impl Into<Vec<u8>>) {
        self.0.push((code, value.into()));
    }

    /// Appends an option as dhcproto encodes it, or nothing if it cannot.
    pub fn add(&mut self, option: &DhcpOption) {
        let mut bytes = Vec::new();
        let written = option.encode(&mut Encoder::new(&mut bytes));
        let written = written.ok().and_then(|()| Self::parse(&bytes).ok());
        self.0.extend(written.unwrap_or_default().0);
    }

    /// Removes all options with this code.
    pub fn remove(&mut self, code: u16) {
        self.0.retain(|(other, _)| *other != code);
    }

    /// The number of options.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no options.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn write(&self, to: &mut Encoder<'_>) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|(code, value)| put(to, *code, value))
    }
}

/// The next `N` octets.
pub(super) fn octets<const N: usize>(from: &mut Decoder<'_>) -> Result<[u8; N], PacketError> {
    from.read().map_err(|_| PacketError::TooShort)
}

/// The next option; `None` at the end.
pub(super) fn next<'a>(from: &mut Decoder<'a>) -> Result<Option<(u16, &'a [u8])>, PacketError> {
    if from.buffer().is_empty() {
        return Ok(None);
    }
    let code = from.read_u16().map_err(|_| PacketError::TooShort)?;
    let len = from.read_u16().map_err(|_| PacketError::Truncated(code))?;
    let value = from.read_slice(len.into()).map_err(|_| PacketError::Truncated(code))?;
    Ok(Some((code, value)))
}

/// Writes an option, unless it is too long for one.
pub(super) fn put(to: &mut Encoder<'_>, code: u16, value: &[u8]) -> Result<(), EncodeError> {
    let Ok(len) = u16::try_from(value.len()) else { return Ok(()) };
    to.write_u16(code)?;
    to.write_u16(len)?;
    to.write_slice(value)
}
