//! Errors of the parser.

/// Why bytes are not a DHCPv6 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum PacketError {
    /// They end within the fixed fields.
    #[error("packet is too short")]
    TooShort,
    /// An option exceeds its message.
    #[error("option {0} is truncated")]
    Truncated(u16),
    /// A relay message is empty.
    #[error("relayed message is missing")]
    NoMessage,
    /// There are more relays than are allowed.
    #[error("more than 8 relays")]
    TooManyRelays,
}
