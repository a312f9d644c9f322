//! BMCs that become BMC objects.

use super::{
    fixture::{list_bmcs, recorder_with},
    *,
};
use metal_api::{BmcSpec, InlineAccess};

#[tokio::test]
async fn in_mode_bmc_it_becomes_credentials_and_an_object_with_its_address() {
    let api = Api::default();
    let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
    list(&recorder, vec![]).await;
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await.is_some(), "the BMC objects are not known yet");
    list_bmcs(&recorder, vec![]).await;
    assert_eq!(recorder.pass(MAC).await, None);
    let asked = api.asked();
    let paths: Vec<_> = asked.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
    assert_eq!(paths, ["bmcsecrets", "bmcs"]);
    let access = json!({"macAddress": "aa:bb:cc:00:00:01", "ip": "10.77.0.5"});
    assert_eq!(asked[1].1["spec"]["access"], access);
    assert_eq!(asked[1].1["metadata"]["name"], "compute-aabbcc000001");
    assert_eq!(recorder.sightings.len(), 0);
}

#[tokio::test]
async fn a_bmc_object_at_another_address_is_told_and_made_anew_once_it_is_gone() {
    let api = Api::default();
    let recorder = recorder_with(&api, "endpoints: { mode: bmc }\n");
    let (mac_address, ip) = (Some(MAC.to_string()), Some("10.77.0.9".to_owned()));
    let access = Some(InlineAccess { mac_address, ip });
    let bmc = Bmc::new("mine", BmcSpec { access, ..BmcSpec::default() });
    list_bmcs(&recorder, vec![bmc.clone()]).await;
    recorder.sightings.saw(Sighting { is_recalled: true, ..seen(MAC, IP) });
    assert_eq!(recorder.pass(MAC).await, None, "the object may be newer than the lease");
    recorder.sightings.saw(seen(MAC, IP));
    assert!(recorder.pass(MAC).await > Some(Duration::from_mins(30)));
    let (_, event) = api.asked().pop().unwrap();
    assert_eq!((&event["reason"], &event["regarding"]["name"]), (&json!("Moved"), &json!("mine")));
    recorder.wake_by_bmc(&Change::Removed(&Arc::new(bmc)));
    assert_eq!(recorder.sightings.0.queue.len(), 1);
}
