//! Which machine has which address, as it identified itself when it got the address.

use metal_base::Locked;
use metal_core::boot::decision::Identity;
use std::{
    collections::HashMap,
    mem::take,
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard},
};

/// At least this many machines are remembered, and at most twice as many. A booting machine
/// requests its file seconds after it got its address. Each takes some 50 bytes.
const REMEMBERED: usize = 16_384;

/// Machines by address, in two generations: the older one is dropped when the younger one is full.
#[derive(Debug, Default)]
pub(super) struct Holders(Mutex<[HashMap<Ipv4Addr, Identity>; 2]>);

impl Holders {
    /// Records who has an address; `None` for a client that does not boot.
    pub(super) fn hold(&self, address: Ipv4Addr, identity: Option<Identity>) {
        let [young, old] = &mut *self.locked();
        old.remove(&address);
        match identity {
            Some(identity) => {
                if young.len() >= REMEMBERED {
                    *old = take(young);
                }
                young.insert(address, identity);
            }
            None => {
                young.remove(&address);
            }
        }
    }

    /// The machine with an address.
    pub(super) fn of(&self, address: Ipv4Addr) -> Option<Identity> {
        let [young, old] = &*self.locked();
        young.get(&address).or_else(|| old.get(&address)).copied()
    }

    fn locked(&self) -> MutexGuard<'_, [HashMap<Ipv4Addr, Identity>; 2]> {
        self.0.locked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::SystemUuid;

    #[test]
    fn the_last_to_get_an_address_has_it_and_who_does_not_boot_is_nobody() {
        let holders = Holders::default();
        let address = Ipv4Addr::new(10, 77, 0, 9);
        for number in 1..3 {
            holders.hold(address, Some(machine(number)));
            assert_eq!(holders.of(address), Some(machine(number)));
        }
        holders.hold(address, None);
        assert_eq!(holders.of(address), None);
    }

    #[test]
    fn a_flood_of_machines_takes_bounded_room_and_the_latest_are_remembered() {
        let holders = Holders::default();
        let many = 5 * u32::try_from(REMEMBERED).unwrap();
        for number in 0..many {
            holders.hold(number.into(), Some(machine(number)));
        }
        assert!(holders.locked().iter().all(|machines| machines.len() <= REMEMBERED));
        let latest = many - u32::try_from(REMEMBERED).unwrap()..many;
        assert!(latest.clone().all(|number| holders.of(number.into()) == Some(machine(number))));
        // A machine that gets its address again is not forgotten because of its old entry.
        holders.hold(latest.start.into(), Some(machine(7)));
        assert_eq!(holders.of(latest.start.into()), Some(machine(7)));
    }

    fn machine(number: u32) -> Identity {
        Identity { mac: None, uuid: SystemUuid::from_bytes(u128::from(number).to_be_bytes()) }
    }
}
