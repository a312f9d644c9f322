//! Subnets in which no address is left.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// After this time it is logged again.
const AGAIN: Duration = Duration::from_hours(1);

/// When each of them was logged.
#[derive(Debug, Default)]
pub(super) struct ExhaustedSubnets(HashMap<String, Instant>);

impl ExhaustedSubnets {
    /// Whether a subnet is to be logged.
    pub(super) fn is_due(&mut self, subnet: &str, now: Instant) -> bool {
        self.0.retain(|_, since| now.saturating_duration_since(*since) < AGAIN);
        let before = self.0.len();
        self.0.entry(subnet.to_owned()).or_insert(now);
        self.0.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exhausted_subnet_is_logged_once_an_hour_however_many_ask() {
        let (mut exhausted, start) = (ExhaustedSubnets::default(), Instant::now());
        let mut count = |subnet, minutes| {
            let now = start + Duration::from_mins(minutes);
            (0..100).filter(|_| exhausted.is_due(subnet, now)).count()
        };
        assert_eq!((count("10.77.0.0/24", 0), count("10.78.0.0/24", 30)), (1, 1));
        assert_eq!((count("10.77.0.0/24", 59), count("10.77.0.0/24", 60)), (0, 1));
        assert_eq!((count("10.78.0.0/24", 89), count("10.78.0.0/24", 90)), (0, 1));
    }
}
