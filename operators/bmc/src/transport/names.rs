//! Resolves and dials BMCs that are known by host name.
//!
//! Whoever answers for a name decides where we connect to, and nothing else: the peer has to
//! present a certificate for that name, or the pinned one. Services on this host or its link may
//! trust any local client, so no name may lead there.

use metal_base::Nearness;
use metal_core::bmc_host::{BmcHost, BmcHostName};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

/// How many addresses of a name are tried.
const TRIED: usize = 4;
/// How many names are looked up at a time. Each takes a thread until the resolver answers.
pub(crate) const LOOKUPS: usize = 32;

/// Why there is no TCP connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("TCP connection failed")]
    Connect(#[source] io::Error),
    #[error("TCP connection timed out after {0:?}")]
    Timeout(Duration),
    #[error("its host name does not resolve")]
    Lookup(#[source] io::Error),
    #[error("its host name did not resolve within {0:?}")]
    LookupTimeout(Duration),
    #[error("{0} resolves to {1}; loopback and link-local addresses are not allowed")]
    Forbidden(BmcHostName, IpAddr),
}

/// How names of BMCs are resolved.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Looks up the addresses of a name; may block.
    pub lookup: fn(&str) -> io::Result<Vec<IpAddr>>,
    /// Whether names must not lead to an address.
    pub forbids: fn(IpAddr) -> bool,
}

impl Default for Names {
    /// Uses the resolver of the system, and forbids this host and its link.
    fn default() -> Self {
        let lookup = |name: &str| {
            let found = (name, 0).to_socket_addrs()?;
            Ok(found.map(|address| address.ip()).collect())
        };
        Self { lookup, forbids: is_too_near }
    }
}

/// Whether an address belongs to this host or its link, or not to a single host.
fn is_too_near(address: IpAddr) -> bool {
    match Nearness::of(address) {
        Nearness::Public | Nearness::Private => false,
        Nearness::Link | Nearness::Host | Nearness::Nowhere => true,
    }
}

impl Names {
    /// Connects to a BMC within this time.
    pub(crate) async fn dial(
        self,
        (host, port): (&BmcHost, u16),
        within: Duration,
        lookups: &Arc<Semaphore>,
    ) -> Result<TcpStream, DialError> {
        let until = Instant::now() + within;
        let addresses = match host {
            BmcHost::Address(address) => vec![*address],
            BmcHost::Name(name) => self.addresses(name, (within, until), lookups).await?,
        };
        let mut why = DialError::Timeout(within);
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // An address that does not answer leaves time for the others.
            let share = until.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            let dial = TcpStream::connect(SocketAddr::new(address, port));
            match timeout_at(Instant::now() + share, dial).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => why = DialError::Connect(error),
                Err(_) => why = DialError::Timeout(within),
            }
        }
        Err(why)
    }

    /// The first few addresses that a name may lead to.
    async fn addresses(
        self,
        name: &BmcHostName,
        (within, until): (Duration, Instant),
        lookups: &Arc<Semaphore>,
    ) -> Result<Vec<IpAddr>, DialError> {
        let late = |_| DialError::LookupTimeout(within);
        let place = timeout_at(until, Arc::clone(lookups).acquire_owned()).await.map_err(late)?;
        let (lookup, text) = (self.lookup, name.as_str().to_owned());
        let asking = spawn_blocking(move || {
            // Held until the lookup ends, even if the caller has given up: the thread is taken
            // until then.
            let _place = place;
            lookup(&text)
        });
        let found = timeout_at(until, asking).await.map_err(late)?;
        let found = found.map_err(io::Error::other).flatten().map_err(DialError::Lookup)?;
        let forbidden = found.iter().copied().find(|address| (self.forbids)(*address));
        let mut addresses = found;
        addresses.retain(|address| !(self.forbids)(*address));
        addresses.truncate(TRIED);
        match (addresses.is_empty(), forbidden) {
            (false, _) => Ok(addresses),
            (true, Some(address)) => Err(DialError::Forbidden(name.clone(), address)),
            (true, None) => Err(DialError::Lookup(io::ErrorKind::NotFound.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_to_this_host_or_its_link() {
        for near in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "::ffff:169.254.1.1",
            "64:ff9b::7f00:1",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(is_too_near(near.parse().unwrap()), "{near}");
        }
        for far in ["10.0.0.1", "192.0.2.1", "100.64.0.1", "fd00::1", "2001:db8::1"] {
            assert!(!is_too_near(far.parse().unwrap()), "{far}");
        }
    }
}
