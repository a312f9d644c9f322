//! What the agent of an installed machine reads: its configuration, and what the API server answers to its request
//! for a certificate, with the certificate that is in it.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_agent::{
    config::Config,
    fuzzing::{common_name, refusal, signed},
};

fuzz_target!(|data: &[u8]| {
    if let Err(error) = Config::parse(data) {
        told(&error.to_string(), 120);
    }
    match signed(data) {
        Ok(certificate) => assert!(certificate.unwrap_or_default().len() <= data.len()),
        Err(error) => told(&error, 400),
    }
    let text = refusal(data);
    assert!(text.len() <= 400 && !text.contains(char::is_control), "{text:?} is told");
    if let Some(name) = common_name(data) {
        assert!(name.len() < data.len());
    }
    // The same as the only certificate of an answer.
    let answer = format!(r#"{{"status":{{"certificate":"{}"}}}}"#, STANDARD.encode(data));
    let found = signed(answer.as_bytes());
    let text = std::str::from_utf8(data).ok().filter(|it| it.len() <= 64 << 10);
    match text {
        Some("") => assert_eq!(found, Ok(None)),
        text => assert_eq!(found.ok(), text.map(|it| Some(it.to_owned()))),
    }
});
