//! Addresses that are free.

use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

/// First address of hosts; those below are for BMCs.
const FIRST: u32 = u32::from_be_bytes([127, 128, 0, 1]);
/// Addresses of hosts.
const HOSTS: u32 = (127 << 24 | 0x00ff_fffe) - FIRST;
/// Ports that the kernel hands to no connection, and that need no privilege.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// An address of loopback that nobody else has, and some of its ports. They are held until the
/// value is dropped, which is to be done just before somebody else listens there.
#[derive(Debug)]
pub struct Host {
    address: IpAddr,
    held: BTreeMap<u16, TcpListener>,
}

impl Host {
    /// Holds a port for each of `names`, which are the ports that a person would use.
    ///
    /// # Errors
    ///
    /// If there are no free ports, or no randomness.
    pub fn reserve(names: &[u16]) -> Result<Self> {
        let address = Ipv4Addr::from_bits(FIRST + getrandom::u32()? % HOSTS).into();
        let held = names.iter().map(|name| Ok((*name, hold(address)?)));
        Ok(Self { address, held: held.collect::<Result<_>>()? })
    }

    /// Holds the ports `names` themselves, at an address of this machine that is nobody else's.
    ///
    /// # Errors
    ///
    /// If somebody listens there.
    pub fn own(address: IpAddr, names: &[u16]) -> Result<Self> {
        let held = names.iter().map(|name| Ok((*name, TcpListener::bind((address, *name))?)));
        Ok(Self { address, held: held.collect::<Result<_>>()? })
    }

    /// Where the one is to listen that would listen on port `name` elsewhere.
    ///
    /// # Errors
    ///
    /// If the port is not held.
    pub fn at(&self, name: u16) -> Result<SocketAddr> {
        let held = self.held.get(&name).with_context(|| format!("port {name} is not held"))?;
        Ok(held.local_addr()?)
    }

    /// A port more.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn spare(&self) -> Result<SocketAddr> {
        Ok(hold(self.address)?.local_addr()?)
    }
}

fn hold(address: IpAddr) -> Result<TcpListener> {
    for _ in 0..100 {
        let offset = getrandom::u32()? % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset)?;
        match TcpListener::bind((address, port)) {
            // Somebody listens there on every address.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
    bail!("no free port on {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_no_address_and_their_ports_are_free_when_they_are_let_go() {
        let (one, other) = (Host::reserve(&[80, 81]).unwrap(), Host::reserve(&[80]).unwrap());
        assert_ne!(one.at(80).unwrap(), one.at(81).unwrap());
        assert_ne!(one.at(80).unwrap().ip(), other.at(80).unwrap().ip());
        assert!(one.at(82).is_err());
        let address = one.at(80).unwrap();
        assert!(TcpListener::bind(address).is_err());
        drop(one);
        TcpListener::bind(address).unwrap();
    }
}
