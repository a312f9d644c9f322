//! Identity associations and status codes (RFC 9915, sections 21.4 and 21.13).

use jiff::SignedDuration;
use metal_wire::v6::{
    Association, Options,
    value::{DhcpOption, StatusCode},
};
use std::net::Ipv6Addr;

/// More addresses than any association has.
const MOST_ADDRESSES: usize = 16;

/// The status of a message, or of an association in it.
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

/// The lifetimes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    t1: u32,
    t2: u32,
    preferred: u32,
    valid: u32,
}

impl Status {
    /// Adds the status option, with the code only.
    pub(super) fn add_to(self, options: &mut Options) {
        let status = (self as u16).into();
        options.add(&DhcpOption::StatusCode(StatusCode { status, msg: String::new() }));
    }
}

impl Ia {
    /// `None` if it is malformed.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let association = Association::parse(value).ok()?;
        let addresses = association.addresses().take(MOST_ADDRESSES);
        Some(Self { id: association.id, addresses: addresses.collect::<Result<_, _>>().ok()? })
    }

    /// The association with an address to use, and `others` that must no longer be used.
    pub(super) fn granted(
        &self,
        address: Ipv6Addr,
        times: Times,
        others: impl Iterator<Item = Ipv6Addr>,
    ) -> Vec<u8> {
        let Times { t1, t2, preferred, valid } = times;
        let mut granted = Association { t1, t2, ..empty(self.id) };
        granted.push(address, preferred, valid);
        others.for_each(|other| granted.push(other, 0, 0));
        granted.value()
    }

    /// The association with the client's addresses, none of which must be used any longer.
    pub(super) fn withdrawn(&self) -> Vec<u8> {
        let mut withdrawn = empty(self.id);
        self.addresses.iter().for_each(|address| withdrawn.push(*address, 0, 0));
        withdrawn.value()
    }
}

/// An association of addresses or prefixes without any, with the reason.
pub(super) fn refused(id: [u8; 4], status: Status) -> Vec<u8> {
    let mut refused = empty(id);
    status.add_to(&mut refused.options);
    refused.value()
}

fn empty(id: [u8; 4]) -> Association {
    Association { id, ..Association::default() }
}

impl Times {
    /// The lifetimes for a lease. New connections stop using an address some time before it ends;
    /// T1 and T2 are those recommended by RFC 9915, section 21.4.
    pub(super) fn of(time: SignedDuration) -> Self {
        let valid = u32::try_from(time.as_secs()).unwrap_or(u32::MAX - 1);
        let preferred = valid - valid / 4;
        Self { t1: preferred / 2, t2: preferred - preferred / 5, preferred, valid }
    }
}
