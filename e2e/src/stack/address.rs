//! Free addresses.

use anyhow::{Context, Result, bail};
use metal_base::Locked;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Mutex,
    time::Duration,
};

/// First address of hosts; the ones below are for BMCs.
const FIRST: u32 = u32::from_be_bytes([127, 128, 0, 1]);
/// Addresses of hosts.
const HOSTS: u32 = (127 << 24 | 0x00ff_fffe) - FIRST;
/// Ports that the kernel does not use for outgoing connections, and that need no privilege.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A loopback address that nobody else uses, and some of its ports.
///
/// No socket is bound to find a free port: a program that is being started by another thread has a copy of
/// it until it runs, and the one that the port is for could not bind it.
#[derive(Debug)]
pub struct ReservedAddress {
    address: IpAddr,
    ports: BTreeMap<u16, u16>,
    /// All ports that were given out.
    given: Mutex<BTreeSet<u16>>,
    /// What keeps others from ports of an address that they may use as well, until this value is dropped,
    /// which should happen just before the real listener binds.
    #[expect(dead_code, reason = "dropping it frees the ports")]
    held: Vec<TcpListener>,
}

impl ReservedAddress {
    /// Reserves a port for each of `names`, which are the usual port numbers.
    ///
    /// # Errors
    ///
    /// If no port is free, or there is no randomness.
    pub fn reserve(names: &[u16]) -> Result<Self> {
        let address = Ipv4Addr::from_bits(FIRST + getrandom::u32()? % HOSTS).into();
        let mut it =
            Self { address, ports: BTreeMap::new(), given: Mutex::default(), held: vec![] };
        for name in names {
            it.ports.insert(*name, it.spare()?.port());
        }
        Ok(it)
    }

    /// Reserves the ports `names` themselves, at an address of this machine that nobody else uses.
    ///
    /// # Errors
    ///
    /// If a port is in use.
    pub fn own(address: IpAddr, names: &[u16]) -> Result<Self> {
        let held = names.iter().map(|name| TcpListener::bind((address, *name)));
        let held = held.collect::<Result<_, _>>()?;
        let ports = names.iter().map(|name| (*name, *name)).collect();
        let given = Mutex::new(names.iter().copied().collect());
        Ok(Self { address, ports, given, held })
    }

    /// The reserved address for what would usually listen on port `name`.
    ///
    /// # Errors
    ///
    /// If no port was reserved for it.
    pub fn at(&self, name: u16) -> Result<SocketAddr> {
        let port = self.ports.get(&name).with_context(|| format!("port {name} is not reserved"))?;
        Ok((self.address, *port).into())
    }

    /// Reserves one more port.
    ///
    /// # Errors
    ///
    /// If none is free.
    pub fn spare(&self) -> Result<SocketAddr> {
        for _ in 0..100 {
            let offset = getrandom::u32()? % u32::from(PORTS.end - PORTS.start);
            let place = (self.address, PORTS.start + u16::try_from(offset)?).into();
            if is_free(place) && self.given.locked().insert(place.port()) {
                return Ok(place);
            }
        }
        bail!("no free port on {}", self.address)
    }
}

/// Whether nothing listens there, nor at this port of the wildcard address.
fn is_free(place: SocketAddr) -> bool {
    TcpStream::connect_timeout(&place, Duration::from_secs(1)).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_no_address_and_their_ports_are_free() {
        let one = ReservedAddress::reserve(&[80, 81]).unwrap();
        let other = ReservedAddress::reserve(&[80]).unwrap();
        assert_ne!(one.at(80).unwrap(), one.at(81).unwrap());
        assert_ne!(one.at(80).unwrap().ip(), other.at(80).unwrap().ip());
        assert!(one.at(82).is_err());
        let spare = one.spare().unwrap();
        for place in [one.at(80).unwrap(), one.at(81).unwrap(), spare] {
            TcpListener::bind(place).unwrap();
        }
    }

    #[test]
    fn a_port_that_is_in_use_on_the_wildcard_address_is_not_given() {
        let all = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let spare = ReservedAddress::reserve(&[]).unwrap().spare().unwrap();
        assert!(is_free(spare));
        assert!(!is_free((spare.ip(), all.local_addr().unwrap().port()).into()));
    }
}
