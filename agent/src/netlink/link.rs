//! Links by `rtnetlink(7)`: the permanent address, all-multicast mode, MTU, and switching a
//! link on.

use super::{
    ROUTE, message,
    socket::{Netlink, NetlinkError},
};
use std::collections::BTreeSet;

/// `RTM_NEWLINK` and `RTM_GETLINK` (`linux/rtnetlink.h`), attributes (`linux/if_link.h`) and flags (`linux/if.h`).
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const MTU: u16 = 4;
const PERMANENT_ADDRESS: u16 = 54;
const UP: u32 = 0x1;
const ALL_MULTICAST: u32 = 0x200;
const INFO: usize = 16;

/// `struct ifinfomsg`: family, type, index, flags, and which flags to change.
fn info(index: u32, flags: u32, change: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

/// The permanent address, if the driver reports it (Linux 5.6 and later).
pub(super) fn permanent_address(
    netlink: &mut Netlink,
    index: u32,
) -> Result<Option<String>, NetlinkError> {
    let answer = netlink.call(GET_LINK, &info(index, 0, 0))?;
    let attributes = answer.first().and_then(|payload| payload.get(INFO..)).unwrap_or_default();
    let address = message::find(attributes, PERMANENT_ADDRESS).filter(|octets| octets.len() == 6);
    Ok(address.map(|octets| {
        octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
    }))
}

/// Links set to receive all multicast; dropping this undoes it.
///
/// A link passes frames to LLDP's group address only if somebody subscribed. Subscribing to that
/// address alone needs an unsafe call, so all are enabled.
#[derive(Debug, Default)]
pub(crate) struct AllMulticast {
    changed: BTreeSet<u32>,
}

impl AllMulticast {
    /// Makes a link receive all multicast, unless it does already.
    pub(crate) fn enable(&mut self, index: u32) -> Result<(), NetlinkError> {
        if !self.changed.contains(&index) {
            set(index, ALL_MULTICAST)?;
            self.changed.insert(index);
        }
        Ok(())
    }
}

impl Drop for AllMulticast {
    fn drop(&mut self) {
        for index in &self.changed {
            if let Err(error) = set(*index, 0) {
                tracing::debug!(index, %error, "could not reset the multicast mode of the link");
            }
        }
    }
}

fn set(index: u32, flags: u32) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.call(NEW_LINK, &info(index, flags, ALL_MULTICAST)).map(drop)
}

/// Switches a link on. Its carrier appears some time later.
pub(crate) fn set_up(index: u32) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.call(NEW_LINK, &info(index, UP, UP)).map(drop)
}

/// Sets the MTU of a link, in bytes. Many drivers restart the adapter for a new one, so that the
/// carrier is away for a moment.
pub(crate) fn set_mtu(index: u32, mtu: u16) -> Result<(), NetlinkError> {
    let mtu = message::attribute(MTU, &u32::from(mtu).to_ne_bytes());
    let request = [info(index, 0, 0), mtu].concat();
    Netlink::open(ROUTE)?.call(NEW_LINK, &request).map(drop)
}
