//! What a machine that registers says, and what it reports afterwards: what is kept of it is short.
#![no_main]

use bloomery_fuzz::grow;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use metal_api::{BootToken, BootTokenSpec, Host, HostHardware, HostSpec};
use metal_core::{
    boot_token::{
        progress,
        register::{Registrant, register},
    },
    rented_host::{PublicKey, report},
};
use serde_json::Value;

/// What is kept, at most, in bytes: a status is an object of the API server.
const KEPT: usize = 64 << 10;

fuzz_target!(|data: &[u8]| {
    let Ok(mut body) = serde_json::from_slice::<Value>(data) else { return };
    grow(&mut body);
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(report) = serde_json::from_value::<report::HostReport>(body.clone()) {
        let host = Host::new("web-1", HostSpec::default());
        if let Some(status) = report::record(&host, &report, None, now) {
            kept(&serde_json::to_value(status).expect("it is JSON"));
        }
    }
    let mut token = BootToken::new("web-1", BootTokenSpec::default());
    token.metadata.namespace = Some("org".to_owned());
    if let Ok(report) = serde_json::from_value::<progress::InstallReport>(body.clone())
        && let Ok(Some(status)) = progress::record(&token, 0, &report, now)
    {
        kept(&serde_json::to_value(status).expect("it is JSON"));
    }
    let Ok(hardware) = serde_json::from_value::<HostHardware>(body["hardware"].take()) else {
        return;
    };
    let Some(Ok(key)) = body["publicKey"].as_str().map(PublicKey::parse) else { return };
    assert_eq!(PublicKey::parse(&key.pem()), Ok(key.clone()));
    let registrant =
        Registrant { key: &key, attempt: 0, hardware: &hardware, address: None, endorsement: None };
    // It has no status, so nobody has booted from it.
    assert!(register(&token, None, &registrant, now).is_err());
});

fn kept(status: &Value) {
    assert!(status.to_string().len() <= KEPT);
}
