//! Challenges that were answered.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};

/// How many challenges are remembered, and so how many machines may prove their boot within two minutes.
const MAX: usize = 65_536;

/// Salts of challenges that were answered here, for as long as they could be answered again.
#[derive(Debug, Default)]
pub(crate) struct AnsweredChallenges(Mutex<HashMap<[u8; 16], u64>>);

impl AnsweredChallenges {
    /// Whether a challenge is answered for the first time. Its expiry and the current time are in seconds since
    /// 1970.
    pub(crate) fn spend(&self, salt: [u8; 16], expires: u64, now: u64) -> bool {
        let mut spent = self.0.locked();
        if spent.len() >= MAX {
            spent.retain(|_, expires| *expires >= now);
        }
        spent.len() < MAX && spent.insert(salt, expires).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_and_those_that_are_over_make_room() {
        let spent = AnsweredChallenges::default();
        assert!(spent.spend([1; 16], 100, 0) && !spent.spend([1; 16], 100, 0));
        for number in 1..MAX {
            let mut salt = [2; 16];
            salt[..8].copy_from_slice(&number.to_be_bytes());
            assert!(spent.spend(salt, 200, 0), "{number}");
        }
        assert!(!spent.spend([3; 16], 300, 50), "it remembers no more");
        assert!(spent.spend([3; 16], 300, 150), "the first is over");
        assert!(!spent.spend([4; 16], 300, 150));
    }
}
