//! Which sockets there are, and how they change.

use super::Server;
use jiff::Timestamp;
use metal_dhcp::{
    config::{BmcSubnets, Config},
    v4::{BOOT_SERVER_PORT, SERVER_PORT},
};
use metal_runtime::report::Chain;
use metal_serve::dhcp::link::{
    self,
    v4::{Link, Place},
};
use std::{net::SocketAddrV4, sync::Arc};

/// Opens what a configuration names and `open` does not have.
pub(super) fn open_missing(config: &Config, open: &[Link]) -> Result<Vec<Link>, link::Error> {
    let is_open = |place: &Place| open.iter().any(|link| link.place == *place);
    places(config).filter(|place| !is_open(place)).map(Link::open).collect()
}

/// Every interface and address at the port of servers, and at that of boot servers where we are a
/// proxy.
fn places(config: &Config) -> impl Iterator<Item = Place> {
    let interfaces = |port| {
        config.interfaces.iter().map(move |name| Place::Interface { name: name.clone(), port })
    };
    let boot_server = config.has_proxy().then_some(BOOT_SERVER_PORT);
    let addresses = config.listen.iter().copied();
    let proxies = boot_server.into_iter().flat_map(move |port| {
        let at = move |address: &SocketAddrV4| SocketAddrV4::new(*address.ip(), port);
        let addresses = config.listen.iter().map(at).map(Place::Address);
        interfaces(port).chain(addresses)
    });
    interfaces(SERVER_PORT).chain(addresses.map(Place::Address)).chain(proxies)
}

impl Server {
    /// Takes over a changed configuration. If its sockets cannot be opened, the old one stays.
    pub(super) fn reconfigure(&mut self) {
        let config = Arc::clone(&self.configs.borrow_and_update());
        match open_missing(&config, &self.links) {
            Ok(missing) => {
                // They came by links as they were.
                self.forget_waiting();
                self.links.extend(missing);
                self.links.retain(|link| places(&config).any(|place| place == link.place));
                self.lease_store.leases.reconfigure(&config, Timestamp::now());
                self.config = config;
                self.open_prober();
                self.look_after_links();
                tracing::info!(subnets = self.config.subnets.len(), "configuration in force");
                self.tell_gap();
            }
            Err(error) => {
                let error = Chain(&error);
                tracing::error!(%error, "configuration refused; the previous one stays in force");
            }
        }
    }

    /// Tells whoever starts it, or changed the file, what they may have forgotten.
    pub(super) fn tell_gap(&self) {
        if let Some(gap) = self.config.gap() {
            tracing::warn!(%gap, "some machines get no boot file");
        }
        match self.config.bmc_subnets {
            BmcSubnets::Named => {}
            BmcSubnets::OnlyOne => {
                let advice = self.config.bmc_subnets.advice();
                tracing::warn!(advice, "BMCs have no subnet of their own");
            }
            BmcSubnets::Unknown => {
                let advice = self.config.bmc_subnets.advice();
                tracing::error!(advice, "no subnet has BMCs");
            }
        }
    }

    /// Follows interfaces that come, go and change their addresses.
    pub(super) fn look_after_links(&mut self) {
        for link in &mut self.links {
            if link.is_stale()
                && let Ok(fresh) = Link::open(link.place.clone())
            {
                tracing::info!(place = %fresh.place, "served again");
                *link = fresh;
            }
            link.find_address(&self.config);
        }
        self.metrics.links(self.links.iter().filter(|link| link.is_without_subnet).count());
        match self.links.iter().find(|link| link.address.is_none()) {
            None => self.ready.open(),
            Some(link) => self.ready.wait_for(format!("an IPv4 address on {}", link.place)),
        }
    }
}
