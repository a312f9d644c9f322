//! A message, in the envelopes of its relays.

use super::{
    MessageType, Options, PacketError, code,
    option::{next, octets, put},
};
use dhcproto::{Decoder, Encoder, error::EncodeError};
use std::net::Ipv6Addr;

/// Message type of what a relay sends to a server.
const RELAY_FORWARD: u8 = 12;
/// Message type of what a server sends to a relay.
const RELAY_REPLY: u8 = 13;
/// The hop count of the first relay is 0, and that of the last one `HOP_COUNT_LIMIT`, 8 (RFC 9915, sections 7.6 and
/// 19.1.2).
const MAX_RELAYS: usize = 9;

/// A message of a client or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The relays on its way, ending with the one next to the client.
    pub relays: Vec<Relay>,
    /// The type: a [`MessageType`], if it is known.
    pub kind: u8,
    /// Transaction ID.
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
    /// `peer-address`: who the relay received it from.
    pub peer: Ipv6Addr,
    /// Options, without the message.
    pub options: Options,
}

impl Packet {
    /// Parses a packet.
    ///
    /// # Errors
    ///
    /// If its structure is invalid. Values of options are not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let mut relays = Vec::new();
        let mut from = Decoder::new(bytes);
        loop {
            let [kind] = octets(&mut from)?;
            if !matches!(kind, RELAY_FORWARD | RELAY_REPLY) {
                let xid = octets(&mut from)?;
                return Ok(Self { relays, kind, xid, options: Options::read(&mut from)? });
            }
            if relays.len() == MAX_RELAYS {
                return Err(PacketError::TooManyRelays);
            }
            let (relay, message) = Relay::read(kind == RELAY_REPLY, &mut from)?;
            relays.push(relay);
            from = Decoder::new(message);
        }
    }

    /// The type, if it is known.
    pub fn kind(&self) -> Option<MessageType> {
        MessageType::from_repr(self.kind)
    }

    /// Encodes the packet. Options that are too long for one are left out.
    pub fn encode(&self) -> Vec<u8> {
        let message = written(|to| self.write(to));
        self.relays
            .iter()
            .rev()
            .fold(message, |message, relay| written(|to| relay.write(&message, to)))
    }

    fn write(&self, to: &mut Encoder<'_>) -> Result<(), EncodeError> {
        to.write_u8(self.kind)?;
        to.write(self.xid)?;
        self.options.write(to)
    }
}

impl Relay {
    /// Reads an envelope; returns its content, too.
    fn read<'a>(is_reply: bool, from: &mut Decoder<'a>) -> Result<(Self, &'a [u8]), PacketError> {
        let [hops] = octets(from)?;
        let [link, peer] = [octets::<16>(from)?, octets::<16>(from)?].map(Ipv6Addr::from);
        let (mut message, mut options) = (None, Options::default());
        while let Some((code, value)) = next(from)? {
            match code {
                code::RELAY_MESSAGE => message = message.or(Some(value)),
                code => options.push(code, value),
            }
        }
        let relay = Self { is_reply, hops, link, peer, options };
        Ok((relay, message.ok_or(PacketError::NoMessage)?))
    }

    fn write(&self, message: &[u8], to: &mut Encoder<'_>) -> Result<(), EncodeError> {
        to.write_u8(if self.is_reply { RELAY_REPLY } else { RELAY_FORWARD })?;
        to.write_u8(self.hops)?;
        to.write(self.link.octets())?;
        to.write(self.peer.octets())?;
        self.options.write(to)?;
        put(to, code::RELAY_MESSAGE, message)
    }
}

/// What is written to memory, where nothing can fail.
pub(super) fn written(write: impl FnOnce(&mut Encoder<'_>) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    write(&mut Encoder::new(&mut bytes)).expect("memory is as long as it must be");
    bytes
}
