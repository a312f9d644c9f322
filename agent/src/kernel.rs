//! What the kernel reports through system calls rather than files.

use crate::netlink::{self, LinkFacts, NetlinkError, PrivateFlag};
use nix::{errno::Errno, ifaddrs::getifaddrs, sys::socket::SockaddrStorage};
use std::{collections::BTreeMap, fmt::Debug, net::IpAddr};

/// Addresses by interface name.
pub(crate) type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// The addresses could not be listed.
#[derive(Debug, thiserror::Error)]
#[error("could not list interface addresses")]
pub struct NoAddresses(#[source] Errno);

/// The running kernel, or a substitute beside a captured tree.
pub trait Kernel: Debug + Send + Sync {
    /// Addresses of every interface, IPv4 before IPv6.
    fn addresses(&self) -> Result<Addresses, NoAddresses>;

    /// Facts about a link; `pci` is the address of its adapter.
    fn link_facts(
        &self,
        name: &str,
        index: u32,
        pci: Option<&str>,
    ) -> Result<LinkFacts, NetlinkError>;

    /// The private flags of a link's driver, if it has any.
    fn private_flags(&self, name: &str) -> Vec<PrivateFlag>;
}

/// The kernel that runs this process.
#[derive(Debug)]
pub(crate) struct Running;

impl Kernel for Running {
    fn addresses(&self) -> Result<Addresses, NoAddresses> {
        let mut addresses = Addresses::new();
        for interface in getifaddrs().map_err(NoAddresses)? {
            if let Some(address) = interface.address.as_ref().and_then(ip) {
                addresses.entry(interface.interface_name).or_default().push(address);
            }
        }
        for list in addresses.values_mut() {
            list.sort_unstable();
        }
        Ok(addresses)
    }

    fn link_facts(
        &self,
        name: &str,
        index: u32,
        pci: Option<&str>,
    ) -> Result<LinkFacts, NetlinkError> {
        netlink::link_facts(name, index, pci)
    }

    fn private_flags(&self, name: &str) -> Vec<PrivateFlag> {
        // Most drivers have none, which is an error of the kernel.
        netlink::private_flags(name).unwrap_or_default()
    }
}

/// No kernel: the tree was captured elsewhere.
#[derive(Debug)]
pub(crate) struct Captured;

impl Kernel for Captured {
    fn addresses(&self) -> Result<Addresses, NoAddresses> {
        Ok(Addresses::new())
    }

    fn link_facts(&self, _: &str, _: u32, _: Option<&str>) -> Result<LinkFacts, NetlinkError> {
        Ok(LinkFacts::default())
    }

    fn private_flags(&self, _: &str) -> Vec<PrivateFlag> {
        Vec::new()
    }
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
