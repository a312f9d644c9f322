//! Moves pods away in rounds: those whose eviction hangs leave the others their turn.

use std::collections::BTreeMap;

/// How many pods a message names.
const TOLD: usize = 5;

/// What is remembered of the rounds of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    tries: BTreeMap<String, u32>,
    left: Vec<String>,
}

/// What has become of the pods of a Node in one round. They are known by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvictionRound {
    /// Those whose eviction was requested.
    pub tried: Vec<String>,
    /// Those that were not evicted, or were evicted before and are still there.
    pub left: Vec<String>,
}

impl Evictions {
    /// How often the eviction of a pod was requested in vain.
    pub fn tries(&self, pod: &str) -> u32 {
        self.tries.get(pod).copied().unwrap_or_default()
    }

    /// Those that are left since the last round, sorted.
    pub fn left(&self) -> &[String] {
        &self.left
    }

    /// A round has ended.
    pub(super) fn ended(&mut self, round: EvictionRound) {
        let EvictionRound { tried, mut left } = round;
        left.sort_unstable();
        for pod in tried {
            let tries = self.tries.entry(pod).or_default();
            *tries = tries.saturating_add(1);
        }
        self.tries.retain(|pod, _| left.binary_search(pod).is_ok());
        self.left = left;
    }
}

/// What a drain is at, for people.
pub(super) fn draining(left: &[String]) -> String {
    if left.is_empty() {
        return "draining the node".to_owned();
    }
    let told: Vec<_> = left.iter().take(TOLD).map(String::as_str).collect();
    let more = left.len() - told.len();
    let told = told.join(", ");
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("draining the node; pods that are left: {told}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(names: &[&str]) -> Vec<String> {
        names.iter().map(|&it| it.to_owned()).collect()
    }

    #[test]
    fn what_was_tried_in_vain_is_remembered_as_long_as_the_pod_is_there() {
        let mut evictions = Evictions::default();
        let (tried, left) = (pods(&["a", "b"]), pods(&["c", "b"]));
        evictions.ended(EvictionRound { tried, left });
        let counts = |it: &Evictions| ["a", "b", "c"].map(|pod| it.tries(pod));
        assert_eq!(counts(&evictions), [0, 1, 0]);
        assert_eq!(evictions.left(), pods(&["b", "c"]));
        evictions.ended(EvictionRound { tried: pods(&["c", "b"]), left: pods(&["b"]) });
        assert_eq!(counts(&evictions), [0, 2, 0]);
    }

    #[test]
    fn the_first_pods_that_are_left_are_named_and_the_others_counted() {
        assert_eq!(draining(&[]), "draining the node");
        assert!(draining(&pods(&["t/a", "t/b"])).ends_with("left: t/a, t/b"));
        let many = draining(&pods(&["a", "b", "c", "d", "e", "f", "g"]));
        assert!(many.ends_with("left: a, b, c, d, e and 2 more"), "{many}");
    }
}
