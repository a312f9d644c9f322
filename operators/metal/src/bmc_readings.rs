//! What each BMC said last, and where it was then: what another one said at another address, or with other
//! credentials, does not count.

use metal_base::Locked;
use metal_core::bmc::{BmcReading, Destination};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// The last reading of each BMC. All of it may be lost.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<HashMap<String, (Destination, Arc<BmcReading>)>>);

impl Readings {
    /// The reading of this BMC at this destination.
    pub(crate) fn of(&self, name: &str, destination: &Destination) -> Option<Arc<BmcReading>> {
        let readings = self.0.locked();
        let (from, reading) = readings.get(name)?;
        (from == destination).then(|| Arc::clone(reading))
    }

    /// Stores a reading; returns the destination of the previous one.
    pub(crate) fn keep(
        &self,
        name: &str,
        from: &Destination,
        reading: BmcReading,
    ) -> Option<Destination> {
        let mut readings = self.0.locked();
        let before = readings.insert(name.to_owned(), (from.clone(), Arc::new(reading)));
        before.map(|(destination, _)| destination)
    }

    /// Forgets a BMC that is gone; returns its destination.
    pub(crate) fn forget(&self, name: &str) -> Option<Destination> {
        let mut readings = self.0.locked();
        readings.remove(name).map(|(destination, _)| destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::{SignedDuration, Timestamp};
    use metal_core::redfish::{Credentials, Scheme, Unreachable};

    #[test]
    fn a_reading_counts_only_for_the_destination_that_it_came_from() {
        let readings = Readings::default();
        let (here, there) = (at("192.0.2.1"), at("192.0.2.2"));
        let silent = Err(Unreachable::NoAnswer("late".to_owned()));
        let reading = BmcReading::new(Timestamp::UNIX_EPOCH, SignedDuration::ZERO, silent, None);
        assert_eq!(readings.keep("a", &here, reading.clone()), None);
        assert_eq!(readings.of("a", &here).as_deref(), Some(&reading));
        assert_eq!(readings.of("a", &there), None);
        assert_eq!(readings.of("b", &here), None);
        assert_eq!(readings.keep("a", &there, reading), Some(here));
        assert_eq!(readings.forget("a"), Some(there));
        assert_eq!(readings.forget("a"), None);
    }

    #[test]
    fn what_a_bmc_said_is_not_copied_for_each_pass() {
        let (readings, here) = (Readings::default(), at("192.0.2.1"));
        let silent = Err(Unreachable::NoAnswer("late".to_owned()));
        let reading = BmcReading::new(Timestamp::UNIX_EPOCH, SignedDuration::ZERO, silent, None);
        readings.keep("a", &here, reading);
        let (one, other) = (readings.of("a", &here).unwrap(), readings.of("a", &here).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
    }

    fn at(host: &str) -> Destination {
        let credentials = Credentials { username: "u".to_owned(), password: "p".to_owned() };
        let host = host.parse().unwrap();
        Destination { scheme: Scheme::Https, host, port: 443, credentials }
    }
}
