//! Limits how many new BMCs are recorded, as that happens without any proof.

use crate::config::{Config, NewBmcLimits};
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use std::{collections::HashMap, net::IpAddr};

/// How many have come recently, by subnet.
#[derive(Clone, Debug, Default)]
pub struct NewBmcRate {
    /// When the last one would have been due, had they come at the permitted rate.
    due: HashMap<Option<IpNet>, Timestamp>,
}

impl NewBmcRate {
    /// Admits a new BMC with this address. `unanswered` is the number of BMCs that have not
    /// answered yet.
    ///
    /// # Errors
    ///
    /// How long to wait before trying again, if there are too many.
    pub fn admit(
        &mut self,
        config: &Config,
        address: IpAddr,
        unanswered: usize,
        now: Timestamp,
    ) -> Result<(), SignedDuration> {
        const MINUTE: SignedDuration = SignedDuration::from_mins(1);
        let NewBmcLimits { per_minute, unanswered: most } = config.new_bmcs;
        if unanswered >= most {
            return Err(MINUTE);
        }
        let subnet = config.net_of(address);
        // It is later only if the clock was set back since.
        let latest = now.saturating_add(MINUTE).unwrap_or(Timestamp::MAX);
        self.due.retain(|_, due| {
            *due = latest.min(*due);
            *due > now
        });
        let due = self.due.get(&subnet).copied().unwrap_or(now);
        let share = MINUTE / i32::try_from(per_minute).unwrap_or(i32::MAX);
        let next = due.saturating_add(share).unwrap_or(Timestamp::MAX);
        let wait = next.duration_since(now) - MINUTE;
        if wait.is_positive() {
            return Err(wait);
        }
        self.due.insert(subnet, next);
        Ok(())
    }
}

impl Config {
    /// The subnet of an address of either IP version.
    fn net_of(&self, address: IpAddr) -> Option<IpNet> {
        match address {
            IpAddr::V4(address) => self.subnet_of(address).map(|subnet| subnet.net.into()),
            IpAddr::V6(address) => {
                self.dhcp6.as_ref()?.subnet_of(address).map(|subnet| subnet.net.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoints: &str) -> Config {
        let text = format!(
            "interfaces: [a]\nsubnets: [{{ subnet: 10.1.0.0/16 }}, {{ subnet: 10.2.0.0/16 }}]\n\
             dhcp6: {{ interfaces: [a], subnets: [{{ subnet: 'fd01::/64' }}] }}\n{endpoints}\n"
        );
        Config::parse(&text).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn come(rate: &mut NewBmcRate, config: &Config, first: [u8; 2], millis: i64) -> usize {
        let come = (0..400_u16).map(|n| {
            let [high, low] = n.to_be_bytes();
            let address = IpAddr::from([first[0], first[1], high, low]);
            rate.admit(config, address, 0, at(millis)).is_ok()
        });
        come.filter(|is_in| *is_in).count()
    }

    #[test]
    fn of_a_crowd_as_many_are_let_in_per_subnet_as_may_come_in_a_minute() {
        let (mut rate, config) = (NewBmcRate::default(), config("endpoints: { newPerMinute: 60 }"));
        assert_eq!(come(&mut rate, &config, [10, 1], 0), 60);
        assert_eq!(come(&mut rate, &config, [10, 1], 0), 0);
        assert_eq!(come(&mut rate, &config, [10, 2], 0), 60, "another subnet");
        assert_eq!(come(&mut rate, &config, [10, 1], 5_000), 5);
        assert_eq!(come(&mut rate, &config, [10, 1], 600_000), 60);
        let v6 = "fd01::1".parse().unwrap();
        assert!(rate.admit(&config, v6, 0, at(600_000)).is_ok());
        assert_eq!(rate.due.len(), 2, "what is past is forgotten");
    }

    #[test]
    fn who_has_to_wait_is_told_for_how_long() {
        let (mut rate, config) = (NewBmcRate::default(), config("endpoints: { newPerMinute: 1 }"));
        let address = IpAddr::from([10, 1, 0, 1]);
        assert_eq!(rate.admit(&config, address, 0, at(0)), Ok(()));
        let wait = rate.admit(&config, address, 0, at(10_000)).unwrap_err();
        assert_eq!(wait, SignedDuration::from_secs(50));
        assert_eq!(rate.admit(&config, address, 0, at(60_000)), Ok(()));
    }

    #[test]
    fn after_the_clock_was_set_back_nobody_waits_until_it_was_that_late_before() {
        let (mut rate, config) = (NewBmcRate::default(), config("endpoints: { newPerMinute: 60 }"));
        let day = 24 * 3600 * 1000;
        assert_eq!(come(&mut rate, &config, [10, 1], day), 60);
        let wait = rate.admit(&config, IpAddr::from([10, 1, 0, 1]), 0, at(0)).unwrap_err();
        assert_eq!(wait, SignedDuration::from_secs(1));
        assert_eq!(come(&mut rate, &config, [10, 1], 5_000), 5);
    }

    #[test]
    fn no_more_wait_for_their_first_answer_than_the_configuration_says() {
        for (endpoints, most) in [("", 256), ("endpoints: { maxUnanswered: 3 }", 3)] {
            let (mut rate, config) = (NewBmcRate::default(), config(endpoints));
            let address = IpAddr::from([10, 1, 0, 1]);
            assert!(rate.admit(&config, address, most - 1, at(0)).is_ok());
            assert!(rate.admit(&config, address, most, at(0)).is_err());
        }
    }
}
