//! BMCs that were not seen before.

use super::{
    fixture::{list_bmcs, recorder_with},
    *,
};
use crate::recorder::sightings::MOST;
use metal_api::{BmcSpec, InlineAccess};

#[test]
fn the_last_address_counts_and_the_queue_is_bounded() {
    let sightings = Sightings::default();
    let before = seen(MAC, [10_u8, 77, 0, 9].into());
    sightings.saw(before);
    sightings.saw(seen(MAC, IP));
    assert_eq!(sightings.wanted().get(&MAC), Some(&seen(MAC, IP)));
    sightings.recorded(&before);
    assert_eq!(sightings.len(), 1, "what was recorded is not what is wanted now");

    for number in 0..=u32::try_from(MOST).unwrap() {
        let [a, b, c, d] = number.to_be_bytes();
        sightings.saw(seen(MacAddr([2, 0, a, b, c, d]), IP));
    }
    assert_eq!((sightings.len(), sightings.0.dropped.get()), (MOST, 2));
    assert_eq!(sightings.0.waiting.get(), i64::try_from(MOST).unwrap());
}

#[tokio::test]
async fn a_crowd_of_new_bmcs_is_let_in_bit_by_bit_and_those_that_are_known_need_not_wait() {
    for (more, most) in [
        ("endpoints: { newPerMinute: 5 }\n", 5),
        ("endpoints: { newPerMinute: 50, maxUnanswered: 7 }\n", 7),
    ] {
        let api = Api::default();
        let recorder = recorder_with(&api, more);
        list(&recorder, vec![endpoint("mine", "02:00:00:00:00:01", "fd77::9")]).await;
        let crowd = (0..40).map(|last| MacAddr([0xaa, 0xbb, 0xcc, 0, 1, last]));
        for mac in crowd {
            recorder.sightings.saw(seen(mac, IP));
            recorder.pass(mac).await;
        }
        let posts =
            api.asked().into_iter().filter(|(asked, _)| asked.starts_with("POST /apis/metal"));
        assert_eq!(posts.count(), most, "{more}");
        assert_eq!(recorder.sightings.len(), 40 - most, "the others wait");
        let known = MacAddr([2, 0, 0, 0, 0, 1]);
        recorder.sightings.saw(seen(known, "fd77::9".parse().unwrap()));
        assert_eq!(recorder.pass(known).await, None);
    }
}

#[tokio::test]
async fn who_waits_is_forgotten_when_its_lease_ends() {
    let api = Api::default();
    let recorder = recorder(&api);
    list(&recorder, vec![]).await;
    recorder.sightings.saw(Sighting { until: Timestamp::UNIX_EPOCH, ..seen(MAC, IP) });
    assert_eq!(recorder.pass(MAC).await, None);
    assert_eq!(recorder.sightings.len(), 0);
    assert_eq!(api.asked(), []);
}

#[tokio::test]
async fn what_never_answered_is_removed_a_day_after_its_lease_and_nothing_else_is() {
    const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
    let api = Api::default();
    let recorder = recorder(&api);
    let end = Timestamp::now();
    let ours = |name: &str, last: u8| {
        let mac = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, last]);
        recorder.sightings.ends_at(mac, end);
        let mut endpoint = endpoint(name, &mac.to_string(), "10.77.0.9");
        let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
        endpoint.metadata.labels = Some([label].into());
        endpoint
    };
    let (silent, answered) = (ours("silent", 1), ours("answered", 2));
    let mut by_hand = ours("by-hand", 3);
    by_hand.metadata.labels = None;
    let renewed = ours("renewed", 4);
    recorder.sightings.ends_at(MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 4]), end + DAY);
    list(&recorder, vec![silent, answered, by_hand, renewed]).await;
    let of = |name: &str, ip: Option<&str>| {
        let endpoint_ref = Some(metal_api::LocalObjectReference { name: name.to_owned() });
        let mut bmc = Bmc::new(name, BmcSpec { endpoint_ref, ..BmcSpec::default() });
        let ip = ip.map(str::to_owned);
        bmc.status = Some(metal_api::BmcStatus { ip, ..metal_api::BmcStatus::default() });
        bmc
    };
    recorder.collect(end + DAY).await;
    assert_eq!(api.asked(), [], "nobody knows yet who has answered");
    list_bmcs(&recorder, vec![of("silent", None), of("answered", Some("10.77.0.9"))]).await;
    recorder.collect(end + DAY - jiff::SignedDuration::from_secs(1)).await;
    assert_eq!(api.asked(), []);
    recorder.collect(end + DAY).await;
    let asked = api.asked();
    let [(request, options)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(*request, format!("DELETE {PATH}/silent"));
    assert_eq!(options["preconditions"]["resourceVersion"], "7");
}

#[tokio::test]
async fn a_bmc_whose_certificate_is_known_has_answered_though_its_status_was_lost() {
    let certificate = json!({ "bloomery.dev/known-certificate": "sha256:0" });
    for (annotations, is_removed) in [(certificate, false), (json!(null), true)] {
        let api = Api::default();
        api.annotate(annotations);
        let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
        list(&recorder, vec![]).await;
        let (mac_address, ip) = (Some(MAC.to_string()), Some("10.77.0.9".to_owned()));
        let access = Some(InlineAccess { mac_address, ip });
        let mut bmc = Bmc::new("silent", BmcSpec { access, ..BmcSpec::default() });
        let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
        bmc.metadata.labels = Some([label].into());
        list_bmcs(&recorder, vec![bmc]).await;
        let end = Timestamp::now();
        recorder.sightings.ends_at(MAC, end);
        recorder.collect(end + jiff::SignedDuration::from_hours(24)).await;
        let asked = api.asked();
        let is_deletion = |(request, _): &(String, _)| {
            request.starts_with("DELETE") && request.ends_with("/bmcs/silent")
        };
        assert_eq!(asked.iter().any(is_deletion), is_removed, "{asked:?}");
    }
}
