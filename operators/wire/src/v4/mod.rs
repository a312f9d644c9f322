//! DHCPv4 (RFC 2131, RFC 2132, RFC 3396).

mod frame;
mod option;
mod packet;
#[cfg(test)]
mod tests;

pub use frame::frame;
pub use option::{Options, code, encoded_len, sub_option};
pub use packet::{BOOT_REPLY, BOOT_REQUEST, HEADER_LEN, Packet, PacketError};

/// Option 53.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::FromRepr, strum::IntoStaticStr,
)]
#[repr(u8)]
#[expect(missing_docs, reason = "RFC 2131, section 3.1, table 2")]
pub enum MessageType {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageType {
    /// The type of a packet; `None` for BOOTP, and for types that we do not know.
    pub fn of(packet: &Packet) -> Option<Self> {
        let [value] = packet.options.array::<1>(code::MESSAGE_TYPE)?;
        Self::from_repr(value)
    }
}
