//! Which sockets there are, and how they change.

use super::V4;
use jiff::Timestamp;
use metal_dhcp::{
    config::{BmcSubnets, Config},
    v4::{BOOT_SERVER_PORT, SERVER_PORT},
};
use metal_serve::dhcp::{
    Sockets,
    link::v4::{BindTarget, Link},
};
use std::{net::SocketAddrV4, sync::Arc};

/// Every interface and address at the server port, and also at the port of boot servers if there is
/// a proxy subnet.
pub(super) fn of(config: &Config) -> Vec<BindTarget> {
    let interfaces = |port| {
        config.interfaces.iter().map(move |name| BindTarget::Interface { name: name.clone(), port })
    };
    let boot_server = config.has_proxy().then_some(BOOT_SERVER_PORT);
    let addresses = config.listen.iter().copied();
    let proxies = boot_server.into_iter().flat_map(move |port| {
        let at = move |address: &SocketAddrV4| SocketAddrV4::new(*address.ip(), port);
        let addresses = config.listen.iter().map(at).map(BindTarget::Address);
        interfaces(port).chain(addresses)
    });
    interfaces(SERVER_PORT).chain(addresses.map(BindTarget::Address)).chain(proxies).collect()
}

impl V4 {
    /// Adopts a changed configuration. If its sockets cannot be opened, the old one is kept.
    pub(super) fn reconfigure(&mut self, config: Arc<Config>, sockets: &mut Sockets<Link>) {
        if let Err(error) = sockets.serve(&of(&config)) {
            return self.common.refuse(&error);
        }
        self.common.lease_store.leases.reconfigure(&config, Timestamp::now());
        self.common.adopt(config);
        self.open_prober();
        self.look_after(sockets);
        tracing::info!(subnets = self.common.config.subnets.len(), "configuration loaded");
        self.tell_missing_boot_files();
    }

    /// Reports what the configuration may lack, after a start or a change.
    pub(super) fn tell_missing_boot_files(&self) {
        if let Some(missing) = self.common.config.missing_boot_files() {
            tracing::warn!(%missing, "no boot file is configured for some machines");
        }
        match self.common.config.bmc_subnets {
            BmcSubnets::Named => {}
            BmcSubnets::OnlyOne => {
                let advice = self.common.config.bmc_subnets.advice();
                tracing::warn!(advice, "no subnet is marked as the BMC subnet");
            }
            BmcSubnets::Unknown => {
                let advice = self.common.config.bmc_subnets.advice();
                tracing::error!(advice, "no subnet is marked for BMCs");
            }
        }
    }

    /// Follows interfaces that appear, disappear and change their addresses.
    pub(super) fn look_after(&self, sockets: &mut Sockets<Link>) {
        sockets.follow_interfaces();
        for link in sockets.links_mut() {
            if link.find_address(|own| self.common.config.subnet_of(own).is_some()) {
                let hint = "add the subnet of one of its addresses to subnets, unless all clients \
                            there are behind relays";
                tracing::warn!(
                    place = %link.bind_target, address = ?link.address, hint,
                    "no subnet is configured for this interface: clients on it are not answered"
                );
            }
            if link.note_subnets(self.common.config.subnets_on(&link.addresses).count()) {
                let hint = "keep the addresses of one subnet on the interface, or reserve addresses \
                            in the others";
                tracing::warn!(
                    place = %link.bind_target, addresses = ?link.addresses, hint,
                    "several subnets are configured for this interface: clients without a \
                     reservation are in the first"
                );
            }
        }
        let links = sockets.links();
        let count = |is: fn(&&Link) -> bool| links.iter().filter(is).count();
        self.common
            .parts
            .metrics
            .links(count(|it| it.is_without_subnet), count(|it| it.has_several_subnets));
        match links.iter().find(|link| link.waits_for_address()) {
            None => self.common.parts.ready.open(),
            Some(link) => {
                self.common
                    .parts
                    .ready
                    .wait_for(format!("an IPv4 address on {}", link.bind_target));
            }
        }
    }
}
