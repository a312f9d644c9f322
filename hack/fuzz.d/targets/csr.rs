//! What a machine asks a certificate for: a request as it is in the object, or its DER alone.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_machine::csr::Request;

fuzz_target!(|data: &[u8]| {
    read(data);
    let der = STANDARD.encode(data);
    let pem =
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{der}\n-----END CERTIFICATE REQUEST-----\n");
    read(pem.as_bytes());
});

/// Whatever is accepted names somebody, in text that is in the request; whatever is not is told in few words.
fn read(pem: &[u8]) {
    match Request::parse(pem) {
        Ok(Request { common_name, organization }) => {
            assert!(!common_name.is_empty() && !organization.is_empty());
            assert!(common_name.len() + organization.len() <= pem.len());
        }
        Err(error) => told(&error.to_string(), 120),
    }
}
