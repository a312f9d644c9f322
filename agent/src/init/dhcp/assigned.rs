//! What a lease gives to a link: an address, routes, the MTU, and name servers.

use super::lease::Lease;
use crate::{
    init::{
        link::Link,
        resolvers::{LinkResolvers, Resolvers, Source},
    },
    netlink::{self, Address, Route},
};
use metal_base::Chain;
use std::{io, net::IpAddr};

/// The settings of a lease, which a link has until this is dropped; but for the MTU: most drivers restart
/// the adapter for a new one, which would end the next lease as well.
pub(super) struct Assigned<'a> {
    link: &'a Link,
    address: Address,
    routes: Vec<Route>,
    resolvers: LinkResolvers,
}

impl<'a> Assigned<'a> {
    /// Gives the link what the lease says.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the address. What else it refuses is logged, and missing.
    pub(super) fn apply(link: &'a Link, all: &Resolvers, lease: &Lease) -> io::Result<Self> {
        set_mtu(link, lease);
        let address = address(link, lease);
        netlink::add_address(address).map_err(io::Error::other)?;
        let resolvers = all.of(link, Source::Dhcp);
        let mut assigned = Self { link, address, routes: Vec::new(), resolvers };
        assigned.set_routes(&lease.routes);
        assigned.resolvers.set(servers(lease));
        let Lease { ip, prefix, server, .. } = lease;
        let address = format!("{ip}/{prefix}");
        tracing::info!(link = link.name, address, dhcp_server = %server, "address assigned");
        Ok(assigned)
    }

    /// Takes over what the renewed lease has that `old` had not (RFC 2131, section 4.4.5). Its address is the
    /// same.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the address with the new prefix.
    pub(super) fn renew(&mut self, old: &Lease, new: &Lease) -> io::Result<()> {
        if (old.prefix, &old.routes, old.mtu, &old.resolvers)
            == (new.prefix, &new.routes, new.mtu, &new.resolvers)
        {
            return Ok(());
        }
        tracing::info!(link = self.link.name, "the DHCP server has changed the settings");
        if old.mtu != new.mtu {
            set_mtu(self.link, new);
        }
        let address = address(self.link, new);
        if address != self.address {
            netlink::add_address(address).map_err(io::Error::other)?;
            remove_address(self.address);
            self.address = address;
        }
        self.set_routes(&new.routes);
        self.resolvers.set(servers(new));
        Ok(())
    }

    /// The new ones come first: there is no time without a route.
    fn set_routes(&mut self, routes: &[Route]) {
        for route in routes {
            if let Err(error) = netlink::add_route(self.link.index, *route) {
                let (link, error) = (&self.link.name, Chain(&error).to_string());
                let Route { to, prefix, via } = route;
                let (to, via) = (format!("{to}/{prefix}"), via.map(|via| via.to_string()));
                tracing::warn!(link, to, via, error, "could not set a route");
            }
        }
        let is_kept =
            |old: &Route| routes.iter().any(|new| (new.to, new.prefix) == (old.to, old.prefix));
        for gone in self.routes.iter().filter(|old| !is_kept(old)) {
            remove_route(self.link, *gone);
        }
        self.routes = routes.to_vec();
    }
}

impl Drop for Assigned<'_> {
    fn drop(&mut self) {
        for route in &self.routes {
            remove_route(self.link, *route);
        }
        remove_address(self.address);
    }
}

fn address(link: &Link, lease: &Lease) -> Address {
    Address { index: link.index, ip: lease.ip, prefix: lease.prefix }
}

fn servers(lease: &Lease) -> impl Iterator<Item = IpAddr> {
    lease.resolvers.iter().copied().map(IpAddr::V4)
}

/// Before the address: the carrier may be away for a moment.
fn set_mtu(link: &Link, lease: &Lease) {
    if let Some(mtu) = lease.mtu
        && let Err(error) = netlink::set_mtu(link.index, mtu)
    {
        let error = Chain(&error).to_string();
        tracing::warn!(link = link.name, mtu, error, "could not set the MTU");
    }
}

fn remove_address(address: Address) {
    if let Err(error) = netlink::remove_address(address) {
        tracing::debug!(address = %address.ip, error = %Chain(&error), "could not remove the address");
    }
}

fn remove_route(link: &Link, route: Route) {
    if let Err(error) = netlink::remove_route(link.index, route) {
        let error = Chain(&error).to_string();
        tracing::debug!(link = link.name, to = %route.to, error, "could not remove a route");
    }
}
