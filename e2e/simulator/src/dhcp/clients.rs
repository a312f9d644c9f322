//! Clients that are of no fleet.

use super::{Client, DhcpError, Identity, Link};
use crate::{boot_settings::BootMode, config::Dhcp, mac::Mac};
use std::{io, net::Ipv4Addr, sync::Arc};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Firmware that asks for addresses, any number of it over one socket.
#[derive(Debug)]
pub struct DhcpClients {
    link: Arc<Link>,
    _stop: DropGuard,
}

/// What a machine was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Its address.
    pub address: Ipv4Addr,
    /// Who has given it.
    pub server: Ipv4Addr,
    /// What it is to boot.
    pub boot_file: Option<String>,
}

impl DhcpClients {
    /// Opens the socket. Must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn open(config: &Dhcp) -> io::Result<Self> {
        let (link, stop) = (Arc::new(Link::open(config)?), CancellationToken::new());
        let (running, stopped) = (Arc::clone(&link), stop.clone());
        tokio::spawn(async move { running.run(&stopped).await });
        Ok(Self { link, _stop: stop.drop_guard() })
    }

    /// What the PXE firmware of a machine is given, by the four messages of RFC 2131, section 3.1.
    ///
    /// # Errors
    ///
    /// If nobody answers, or not with a boot file.
    pub async fn pxe(&self, mac: Mac, uuid: Uuid, mode: BootMode) -> Result<Offered, DhcpError> {
        let identity = Identity { client: Client::Pxe(mode), mac, uuid, hostname: String::new() };
        let answer = self.link.lease(&identity).await?;
        let (address, server, boot_file) = (answer.address, answer.server, answer.boot_file);
        Ok(Offered { address, server, boot_file })
    }
}
