//! What a machine presents: as a body of `/attest`, or two keys as a TPM writes them, one behind the other.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_attest::{EndorsementKey, MAX_CERTIFICATES, Request, Roots, StorageKey, client, seal};
use ring::rand::SystemRandom;
use std::time::Duration;

fuzz_target!(|data: &[u8]| {
    match Request::parse(data) {
        Ok(request) => accepted(&request),
        Err(error) => told(&error.to_string(), 300),
    }
    match Request::parse_before_log(data) {
        Ok((request, end)) => assert_eq!(Request::parse(&data[..end]).ok(), Some(request)),
        Err(error) => told(&error.to_string(), 300),
    }
    let (ek, srk) = two(data);
    let (ek, srk) = (EndorsementKey::parse(ek), StorageKey::parse(srk));
    for error in [ek.as_ref().err(), srk.as_ref().err()].into_iter().flatten() {
        told(&error.to_string(), 300);
    }
    if let (Ok(ek), Ok(srk)) = (ek, srk) {
        let certificates = client::certificates(data).into_iter().map(<[u8]>::to_vec).collect();
        accepted(&Request { ek, srk, certificates, ak: None, quote: None });
    }
});

/// The octets behind the length that stands in front, and the rest.
fn two(data: &[u8]) -> (&[u8], &[u8]) {
    let len = data.first_chunk().map_or(0, |len| usize::from(u16::from_be_bytes(*len)) + 2);
    data.split_at_checked(len).unwrap_or((data, data))
}

/// Whatever is accepted can be encrypted for, and is the same key when it is read again.
fn accepted(request: &Request) {
    let sealed = seal(request, b"token", &SystemRandom::new()).expect("the key works");
    assert!(serde_json::to_string(&sealed.into_response(None)).unwrap().len() < 1200);
    assert_eq!(request.ek.is_in(&request.ek.to_pem()), Ok(true));
    assert_eq!(request.ek.fingerprint().len(), 64);
    assert_eq!(request.srk.name().len(), 34);
    if let (Some(ak), Some((_, quote))) = (&request.ak, &request.quote) {
        assert_eq!(ak.name().len(), 34);
        let wanted = quote.pcrs.keys().copied().collect();
        if let Err(error) = quote.verify(ak, &[0; 32], &wanted) {
            told(&error.to_string(), 100);
        }
    }
    assert!(request.certificates.len() <= MAX_CERTIFICATES);
    let proved =
        Roots::default().verify(&request.ek, &request.certificates, Duration::from_secs(1 << 30));
    told(&proved.expect_err("no root can have signed it").to_string(), 200);
}
