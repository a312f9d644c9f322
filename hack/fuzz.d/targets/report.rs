//! What agents report: within its bounds, and the same once it was written and read again.
#![no_main]

use bloomery_fuzz::{measure, same, told};
use libfuzzer_sys::fuzz_target;
use metal_api::{
    MacAddr,
    inventory::{BootStateReport, Registration, Report},
};
use metal_core::report::{
    BOUNDS, fingerprint, interfaces, is_complete, normalize, system_uuid as parse_uuid,
};
use metal_text::json::{Bounds, check, parse};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::net::IpAddr;

const FEW: Bounds = Bounds { values: 60, entries: 8, depth: 6 };

fuzz_target!(|text: &[u8]| {
    if check(text, FEW).is_ok() {
        let value: Value = serde_json::from_slice(text).expect("what is counted is JSON");
        let (values, entries, depth) = measure(&value);
        assert!(values <= FEW.values && entries <= FEW.entries && depth <= FEW.depth);
    }
    read::<BootStateReport>(text);
    let Some(Registration { system_uuid, data }) = read(text) else { return };
    match parse_uuid(&system_uuid) {
        Ok(uuid) => assert_eq!(parse_uuid(&uuid.to_string()), Ok(uuid)),
        Err(error) => told(&error.to_string(), 800),
    }
    let mut report = match normalize(data) {
        Ok(report) => report,
        Err(error) => return told(&error.to_string(), 200),
    };
    let kept = print(&report);
    let again: Report = serde_json::from_slice(&kept).expect("what is kept can be read");
    let again = normalize(again).expect("what is kept is within bounds");
    assert!(same(&value(&kept), &value(&print(&again))), "what is kept stays as it is");
    fingerprint(&mut report).expect("every report has a fingerprint");
    let shown = interfaces(&report);
    assert!(shown.len() <= report.network_interfaces.len());
    assert_eq!(is_complete(&report), !shown.is_empty());
    for interface in shown {
        assert!(interface.mac_address.parse::<MacAddr>().is_ok());
        assert!(interface.ips.iter().all(|ip| ip.parse::<IpAddr>().is_ok()));
    }
});

fn read<T: DeserializeOwned + Serialize>(text: &[u8]) -> Option<T> {
    match parse::<T>(text, BOUNDS) {
        Ok(value) => {
            let again = parse::<T>(&print(&value), BOUNDS);
            assert!(again.is_ok(), "what was taken is taken again: {:?}", again.err());
            Some(value)
        }
        Err(error) => {
            told(&error.to_string(), 320);
            None
        }
    }
}

fn print(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what was read can be written")
}

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("what was written can be read")
}
