//! Identity associations (RFC 9915, sections 21.4, 21.6 and 21.21).

use super::{
    Options, PacketError, code,
    option::octets,
    packet::written,
    value::{DhcpOption, IAAddr},
};
use dhcproto::{Decoder, v6::DhcpOptions};
use std::net::Ipv6Addr;

/// The value of an association of addresses or of prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Association {
    /// The client's identifier for it.
    pub id: [u8; 4],
    /// When to ask its own server to extend it, in seconds.
    pub t1: u32,
    /// When to ask any server to extend it, in seconds.
    pub t2: u32,
    /// Its addresses or prefixes, and its status.
    pub options: Options,
}

impl Association {
    /// Parses the value of an option.
    ///
    /// # Errors
    ///
    /// If it is too short, or its options do not fill it exactly.
    pub fn parse(value: &[u8]) -> Result<Self, PacketError> {
        let mut from = Decoder::new(value);
        let id = octets(&mut from)?;
        let [t1, t2] = [octets(&mut from)?, octets(&mut from)?].map(u32::from_be_bytes);
        Ok(Self { id, t1, t2, options: Options::read(&mut from)? })
    }

    /// Its addresses; an error for each malformed one.
    pub fn addresses(&self) -> impl Iterator<Item = Result<Ipv6Addr, PacketError>> {
        self.options.all(code::IA_ADDRESS).map(|value| {
            let mut from = Decoder::new(value);
            let address = octets::<16>(&mut from)?;
            let _lifetimes: [u8; 8] = octets(&mut from)?;
            Options::read(&mut from)?;
            Ok(address.into())
        })
    }

    /// Appends an address, which new connections may use for the `preferred` and all connections
    /// for the `valid` lifetime, in seconds.
    pub fn push(&mut self, address: Ipv6Addr, preferred: u32, valid: u32) {
        self.options.add(&DhcpOption::IAAddr(IAAddr {
            addr: address,
            preferred_life: preferred,
            valid_life: valid,
            opts: DhcpOptions::new(),
        }));
    }

    /// The value of the option.
    pub fn value(&self) -> Vec<u8> {
        written(|to| {
            to.write(self.id)?;
            to.write_u32(self.t1)?;
            to.write_u32(self.t2)?;
            self.options.write(to)
        })
    }
}
