//! Free addresses.

use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

/// First address of hosts; the ones below are for BMCs.
const FIRST: u32 = u32::from_be_bytes([127, 128, 0, 1]);
/// Addresses of hosts.
const HOSTS: u32 = (127 << 24 | 0x00ff_fffe) - FIRST;
/// Ports that the kernel does not use for outgoing connections, and that need no privilege.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A loopback address that nobody else uses, and some of its ports. They are reserved until the
/// value is dropped, which should happen just before the real listener binds.
#[derive(Debug)]
pub struct ReservedAddress {
    address: IpAddr,
    held: BTreeMap<u16, TcpListener>,
}

impl ReservedAddress {
    /// Reserves a port for each of `names`, which are the usual port numbers.
    ///
    /// # Errors
    ///
    /// If no port is free, or there is no randomness.
    pub fn reserve(names: &[u16]) -> Result<Self> {
        let address = Ipv4Addr::from_bits(FIRST + getrandom::u32()? % HOSTS).into();
        let held = names.iter().map(|name| Ok((*name, hold(address)?)));
        Ok(Self { address, held: held.collect::<Result<_>>()? })
    }

    /// Reserves the ports `names` themselves, at an address of this machine that nobody else uses.
    ///
    /// # Errors
    ///
    /// If a port is in use.
    pub fn own(address: IpAddr, names: &[u16]) -> Result<Self> {
        let held = names.iter().map(|name| Ok((*name, TcpListener::bind((address, *name))?)));
        Ok(Self { address, held: held.collect::<Result<_>>()? })
    }

    /// The reserved address for what would usually listen on port `name`.
    ///
    /// # Errors
    ///
    /// If no port was reserved for it.
    pub fn at(&self, name: u16) -> Result<SocketAddr> {
        let held = self.held.get(&name).with_context(|| format!("port {name} is not held"))?;
        Ok(held.local_addr()?)
    }

    /// Reserves one more port.
    ///
    /// # Errors
    ///
    /// If none is free.
    pub fn spare(&self) -> Result<SocketAddr> {
        Ok(hold(self.address)?.local_addr()?)
    }
}

fn hold(address: IpAddr) -> Result<TcpListener> {
    for _ in 0..100 {
        let offset = getrandom::u32()? % u32::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset)?;
        match TcpListener::bind((address, port)) {
            // In use on the wildcard address.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            bound => return Ok(bound?),
        }
    }
    bail!("no free port on {address}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        thread,
        time::{Duration, Instant},
    };

    #[test]
    fn hosts_share_no_address_and_their_ports_are_free_when_they_are_let_go() {
        let (one, other) = (
            ReservedAddress::reserve(&[80, 81]).unwrap(),
            ReservedAddress::reserve(&[80]).unwrap(),
        );
        assert_ne!(one.at(80).unwrap(), one.at(81).unwrap());
        assert_ne!(one.at(80).unwrap().ip(), other.at(80).unwrap().ip());
        assert!(one.at(82).is_err());
        let address = one.at(80).unwrap();
        assert!(TcpListener::bind(address).is_err());
        drop(one);
        // A program that another test is starting has a copy of the socket until it runs.
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = TcpListener::bind(address) {
            assert!(Instant::now() < deadline, "{error}");
            thread::yield_now();
        }
    }
}
