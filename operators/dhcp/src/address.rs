//! IPv4 and IPv6 addresses behind one trait.

use std::{
    hash::Hash,
    net::{Ipv4Addr, Ipv6Addr},
};

/// An IP address that can be treated as a number.
pub trait Address: Copy + Ord + Hash {
    /// The address as a number.
    fn number(self) -> u128;
    /// The address at this offset after this one, if there is one.
    fn behind(self, offset: usize) -> Option<Self>;
}

impl Address for Ipv4Addr {
    fn number(self) -> u128 {
        self.to_bits().into()
    }

    fn behind(self, offset: usize) -> Option<Self> {
        self.to_bits().checked_add(u32::try_from(offset).ok()?).map(Self::from_bits)
    }
}

impl Address for Ipv6Addr {
    fn number(self) -> u128 {
        self.to_bits()
    }

    fn behind(self, offset: usize) -> Option<Self> {
        self.to_bits().checked_add(u128::try_from(offset).ok()?).map(Self::from_bits)
    }
}
