//! Trims the metadata of objects that tenants write to what is used here.
//!
//! A tenant may have thousands of small objects, each with as many labels and annotations as the
//! API server accepts, and every client that watches the kind holds all of them.

use kube::Resource;
use metal_api::annotation;
use std::collections::BTreeMap;

/// Annotations that are read or compared.
const ANNOTATIONS: [&str; 9] = [
    annotation::BOOT_METHOD,
    annotation::DISCOVERY_ATTEMPT,
    annotation::IMAGE_DIGEST,
    annotation::IS_DEFAULT_OS_IMAGE,
    annotation::MAINTENANCE_REASON,
    annotation::OPERATION,
    annotation::PARKED,
    annotation::REASON,
    annotation::TYPE,
];
/// Labels that are read or compared.
const LABELS: [&str; 4] = [
    annotation::MAINTENANCE_APPROVED,
    annotation::MAINTENANCE_NEEDED,
    annotation::MAINTENANCE_REQUESTED,
    annotation::MANAGED_BY,
];
/// Longest value: valid ones are shorter, and enough of a longer one is left to show that it is
/// invalid.
const LONGEST: usize = 256;

/// Removes what is not used.
pub fn trim<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    keep(&mut metadata.annotations, &ANNOTATIONS);
    keep(&mut metadata.labels, &LABELS);
}

fn keep(all: &mut Option<BTreeMap<String, String>>, read: &[&str]) {
    let Some(map) = all else { return };
    map.retain(|key, _| read.contains(&key.as_str()));
    for value in map.values_mut().filter(|value| value.len() > LONGEST) {
        value.truncate(value.floor_char_boundary(LONGEST));
        value.shrink_to_fit();
    }
    if map.is_empty() {
        *all = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{ServerClaim, ServerClaimSpec};

    fn claim(annotations: &[(&str, &str)], labels: &[(&str, &str)]) -> ServerClaim {
        let map = |pairs: &[(&str, &str)]| {
            let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            Some(pairs.iter().map(pair).collect())
        };
        let mut claim = ServerClaim::new("a", ServerClaimSpec::default());
        claim.metadata.annotations = map(annotations);
        claim.metadata.labels = map(labels);
        claim
    }

    #[test]
    fn annotations_that_nobody_reads_cost_nothing() {
        let long = "x".repeat(4096);
        let others: Vec<_> = (0..63).map(|number| format!("example.com/{number}")).collect();
        let others: Vec<_> = others.iter().map(|key| (key.as_str(), long.as_str())).collect();
        let mut claim = claim(&others, &others);
        trim(&mut claim);
        assert_eq!((claim.metadata.annotations, claim.metadata.labels), (None, None));
    }

    #[test]
    fn what_is_read_stays_and_is_no_longer_than_it_can_be() {
        let long = "é".repeat(4096);
        let (method, attempt) = (annotation::BOOT_METHOD, annotation::DISCOVERY_ATTEMPT);
        let label = (annotation::MAINTENANCE_NEEDED, "true");
        let mut claim = claim(&[(method, &long), (attempt, "2"), ("a", "b")], &[label, ("a", "b")]);
        trim(&mut claim);
        let annotations = claim.metadata.annotations.unwrap();
        assert_eq!(annotations.len(), 2);
        assert_eq!(annotations[attempt], "2");
        assert_eq!(annotations[method], "é".repeat(128), "it is still no method");
        let labels: Vec<_> = claim.metadata.labels.unwrap().into_keys().collect();
        assert_eq!(labels, [annotation::MAINTENANCE_NEEDED]);
    }
}
