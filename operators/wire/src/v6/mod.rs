//! DHCPv6 (RFC 9915), with the relays that a message came through.
//!
//! Octets, numbers and strings are read by dhcproto 0.15's `Decoder` and written by its `Encoder`,
//! and what we write ourselves are its [`options`](value) where they are right. Its messages are not
//! used, and of what arrives no option is given to it. `tests/dhcproto.rs` has each reason as a test:
//!
//! * `DhcpOption::decode` calls itself for each option in an option, as deep as the sender likes: a
//!   datagram of 64 KiB is 8,000 calls, and the end of the stack ends the process. Here relays are
//!   counted before they are opened, and what is in an association is looked at only if it is
//!   asked for.
//! * It subtracts from a length before it looks at it, and takes options of a fixed length for as
//!   long as they should be, whatever they say: all that is behind them is then read as something else.
//! * `Message` drops an option that is malformed and all that are behind it, and does not say so.
//!   Here values are bytes, so a malformed value costs itself alone, and a message whose options do
//!   not fill it is refused as a whole.
//! * `DhcpOptions` sorts: several associations or addresses, whose order counts, change places, and a
//!   packet is not written as it was read.
//! * There is no way to make a `RelayMessage` but from bytes.
//! * The lengths of user and vendor classes are written wrong, and names of a search list are compressed,
//!   which RFC 9915, section 10, forbids. Boot file, parameters, interface (RFC 5970) and link-layer
//!   address (RFC 6939) are not known to it.

mod association;
mod error;
mod option;
mod packet;
#[cfg(test)]
mod tests;

pub use association::Association;
pub use error::PacketError;
pub use option::{Options, code};
pub use packet::{Packet, Relay};

/// Values of options that dhcproto encodes correctly, for [`Options::add`].
pub mod value {
    pub use dhcproto::v6::{Architecture, DhcpOption, IAAddr, ORO, OptionCode, Status, StatusCode};
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
