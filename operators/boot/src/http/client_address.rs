//! Whether a request comes from an address of the machine.

use super::{AppState, identity::Requester};
use crate::{args::Addresses, view::canonical_address};
use jiff::Timestamp;
use metal_api::{MacAddr, Server};
use metal_core::boot::address::{Holder, KnownAddresses, macs_of};
use std::net::IpAddr;

/// What is known about the addresses of a machine: its server, and the addresses in its boot
/// config, of which IP addresses count only if they were written by hand.
pub(super) fn known(
    state: &AppState,
    server: Option<&Server>,
    addresses: &[String],
    is_by_hand: bool,
) -> KnownAddresses {
    if state.addresses == Addresses::Any {
        return KnownAddresses::default();
    }
    let now = Timestamp::now();
    let mut macs = server.map(macs_of).unwrap_or_default();
    macs.extend(addresses.iter().filter_map(|text| text.trim().parse::<MacAddr>().ok()));
    macs.sort_unstable();
    macs.dedup();
    macs.retain(|mac| !state.view.is_shared(*mac));
    let leased = macs.iter().flat_map(|mac| state.view.leases.of(*mac, now)).collect();
    let named = addresses.iter().filter(|_| is_by_hand);
    let named = named.filter_map(|text| canonical_address(text).parse().ok()).collect();
    KnownAddresses { macs, leased, named }
}

/// Whether the client is the machine, or may ask on its behalf.
pub(super) fn may_be(state: &AppState, asker: &Requester, known: &KnownAddresses) -> bool {
    if state.addresses == Addresses::Any {
        return true;
    }
    let now = Timestamp::now();
    let may_be_at = |from: IpAddr| {
        let holder = state.view.leases.holder(from.to_canonical(), now);
        let holder = match holder.filter(|mac| !known.macs.contains(mac)) {
            Some(mac) if state.view.is_of_a_server(mac) => Holder::Server,
            Some(_) => Holder::Client,
            None => Holder::Unknown,
        };
        known.may_be_at(from, holder)
    };
    match asker {
        Requester::Host(Some(from)) => may_be_at(*from),
        Requester::Host(None) => known.leased.is_empty(),
        Requester::Trusted(named) => {
            let is_it = |text: &String| match text.trim().parse::<MacAddr>() {
                Ok(mac) => known.macs.contains(&mac),
                Err(_) => canonical_address(text).parse().is_ok_and(may_be_at),
            };
            known.leased.is_empty() || named.iter().any(is_it)
        }
        Requester::Medium => true,
    }
}
