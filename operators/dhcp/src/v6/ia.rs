//! Identity associations and status codes (RFC 9915, sections 21.4, 21.6 and 21.13).

use super::wire::{Options, code};
use jiff::SignedDuration;
use std::net::Ipv6Addr;

/// How much of an identity association comes before its options: IAID, T1, T2.
const HEADER: usize = 12;
/// The same of an address in it, behind the address: its lifetimes.
const LIFETIMES: usize = 8;
/// More addresses in one association nobody has.
const MOST_ADDRESSES: usize = 16;

/// How a message, or an association in it, fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Status {
    Success = 0,
    NoAddrsAvail = 2,
    NoBinding = 3,
    NotOnLink = 4,
    NoPrefixAvail = 6,
}

/// The identity association of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ia {
    pub(super) id: [u8; 4],
    pub(super) addresses: Vec<Ipv6Addr>,
}

/// How long an address lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    t1: u32,
    t2: u32,
    preferred: u32,
    valid: u32,
}

impl Status {
    /// The value of the status option. The number says all that there is to say.
    pub(super) fn value(self) -> [u8; 2] {
        (self as u16).to_be_bytes()
    }
}

impl Ia {
    /// `None` if it is malformed.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (header, rest) = value.split_first_chunk::<HEADER>()?;
        let [id @ .., _, _, _, _, _, _, _, _] = *header;
        let options = Options::parse(rest).ok()?;
        let address = |value: &[u8]| {
            let (address, rest) = value.split_first_chunk::<16>()?;
            Options::parse(rest.get(LIFETIMES..)?).ok()?;
            Some(Ipv6Addr::from(*address))
        };
        let addresses = options.all(code::IA_ADDRESS).take(MOST_ADDRESSES).map(address);
        Some(Self { id, addresses: addresses.collect::<Option<_>>()? })
    }

    /// With an address to use, and `others` that are not to be used any more.
    pub(super) fn granted(
        &self,
        address: Ipv6Addr,
        times: Times,
        others: impl Iterator<Item = Ipv6Addr>,
    ) -> Vec<u8> {
        let mut options = Options::default();
        options.push(code::IA_ADDRESS, lifetimes(address, times.preferred, times.valid));
        others.for_each(|other| options.push(code::IA_ADDRESS, lifetimes(other, 0, 0)));
        value(self.id, [times.t1, times.t2], &options)
    }

    /// With what the client says to have, of which it is to use nothing.
    pub(super) fn withdrawn(&self) -> Vec<u8> {
        let mut options = Options::default();
        let addresses = self.addresses.iter();
        addresses.for_each(|address| options.push(code::IA_ADDRESS, lifetimes(*address, 0, 0)));
        value(self.id, [0; 2], &options)
    }
}

/// An association of addresses or prefixes, with a reason why there are none in it.
pub(super) fn refused(id: [u8; 4], status: Status) -> Vec<u8> {
    let mut options = Options::default();
    options.push(code::STATUS, status.value());
    value(id, [0; 2], &options)
}

fn value(id: [u8; 4], times: [u32; 2], options: &Options) -> Vec<u8> {
    let mut value = id.to_vec();
    value.extend(times.into_iter().flat_map(u32::to_be_bytes));
    options.encode(&mut value);
    value
}

fn lifetimes(address: Ipv6Addr, preferred: u32, valid: u32) -> Vec<u8> {
    let mut value = address.octets().to_vec();
    value.extend(preferred.to_be_bytes());
    value.extend(valid.to_be_bytes());
    value
}

impl Times {
    /// The times of a lease. New connections end some time before the address does; T1 and T2 are
    /// what RFC 9915, section 21.4, recommends.
    pub(super) fn of(time: SignedDuration) -> Self {
        let valid = u32::try_from(time.as_secs()).unwrap_or(u32::MAX - 1);
        let preferred = valid - valid / 4;
        Self { t1: preferred / 2, t2: preferred - preferred / 5, preferred, valid }
    }
}
