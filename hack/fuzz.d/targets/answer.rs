//! What an installed machine hears: the answer of metalman to its attestation, and the responses of its TPM.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_attest::{
    Response,
    client::{
        EncryptedCredential, MAX_TOKEN, activate_credential, activated, created, done, flush, open,
        started,
    },
};

/// A session that was started.
const STARTED: [u8; 48] = {
    let mut response = [0; 48];
    [response[0], response[1], response[5], response[10], response[15]] = [0x80, 1, 48, 3, 32];
    response
};

fuzz_target!(|data: &[u8]| {
    if let Ok(response) = serde_json::from_slice(data) {
        answered(&response);
    }
    let results = [
        created(data).map(|key| assert!(key.public.len() <= data.len())),
        started(data).map(|session| assert!(flush(session).is_ok())),
        activated(data).map(drop),
        done(data),
    ];
    for error in results.into_iter().filter_map(Result::err) {
        told(&error.to_string(), 100);
    }
});

fn answered(response: &Response) {
    match open(response, &[0; 32]) {
        Ok(token) => assert!(token.len() <= MAX_TOKEN && token.is_ascii()),
        Err(error) => told(&error.to_string(), 200),
    }
    match EncryptedCredential::of(response) {
        Ok(wrapped) => {
            let handle = started(&STARTED).expect("it is one");
            let built = activate_credential(handle, handle, handle, &wrapped);
            let is_long = wrapped.blob.len() + wrapped.secret.len() > 100;
            assert!(built.is_ok_and(|it| it.len() <= 4096) || is_long);
        }
        Err(error) => told(&error.to_string(), 200),
    }
}
