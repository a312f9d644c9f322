//! Who may be sent a password, table by table.

use super::*;
use crate::redfish::Credentials;
use metal_api::{BmcSecretSpec, BmcSpec, BmcStatus, LocalObjectReference};

const WAS: &str = "10.77.0.5";
const PIN: &str = "sha256:aa";

fn bmc(status: Option<BmcStatus>) -> Bmc {
    let endpoint_ref = Some(LocalObjectReference { name: "bmc-1".to_owned() });
    let mut bmc = Bmc::new("bmc-1", BmcSpec { endpoint_ref, ..BmcSpec::default() });
    bmc.status = status;
    bmc
}

fn at(ip: &str, pin: Option<&str>) -> BmcStatus {
    let certificate_fingerprint = pin.map(str::to_owned);
    BmcStatus { ip: Some(ip.to_owned()), certificate_fingerprint, ..Default::default() }
}

fn secret(name: &str, notes: &[(&str, &str)]) -> BmcSecret {
    let mut secret = BmcSecret::new(name, BmcSecretSpec::default());
    let notes = notes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    secret.metadata.annotations = Some(notes.collect());
    secret
}

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn reason(
    bmc: &Bmc,
    secret: Option<&BmcSecret>,
    (scheme, address): (Scheme, &str),
    verification: Verification,
) -> Result<(), &'static str> {
    let to = destination(scheme, address);
    Login { bmc, secret, at: &to }.is_allowed(verification, now()).map_err(|it| it.reason)
}

fn destination(scheme: Scheme, address: &str) -> Destination {
    let credentials = Credentials { username: "a".to_owned(), password: "b".to_owned() };
    Destination { scheme, host: address.parse().unwrap(), port: 443, credentials }
}

fn pinned<'a>(bmc: &'a Bmc, secret: &'a BmcSecret) -> Option<&'a str> {
    let at = destination(Scheme::Https, WAS);
    Login { bmc, secret: Some(secret), at: &at }.certificate()
}

fn note_of(bmc: &Bmc, secret: &BmcSecret) -> Option<CredentialAnnotations> {
    let at = destination(Scheme::Https, WAS);
    Login { bmc, secret: Some(secret), at: &at }.to_note()
}

const HELD: Result<(), &str> = Err("AddressNotConfirmed");
const NEW: &str = "10.66.0.66";

#[test]
fn a_password_follows_a_known_bmc_only_if_that_shows_first_who_it_is() {
    use Scheme::{Http, Https};
    use Verification::{Authorities, Off, Pinned};
    for (scheme, verification, pin, expected) in [
        (Https, Authorities, None, Ok(())),
        (Https, Pinned, Some(PIN), Ok(())),
        (Https, Pinned, None, HELD),
        (Https, Off, Some(PIN), HELD),
        (Http, Authorities, Some(PIN), HELD),
        (Http, Pinned, Some(PIN), HELD),
        (Http, Off, None, HELD),
    ] {
        let bmc = bmc(Some(at(WAS, pin)));
        let case = format!("{scheme:?} {verification:?} {pin:?}");
        assert_eq!(reason(&bmc, None, (scheme, NEW), verification), expected, "{case}");
        assert_eq!(reason(&bmc, None, (scheme, WAS), verification), Ok(()), "{case}");
        assert_eq!(reason(&bmc, None, (scheme, "fd77::5"), verification), expected, "{case}");
    }
}

#[test]
fn a_person_vouches_for_one_address() {
    let mut bmc = bmc(Some(at(WAS, None)));
    let accept = |ip: &str| Some([(annotation::ACCEPT_ADDRESS.to_owned(), ip.to_owned())].into());
    for (accepts, expected) in
        [(NEW, Ok(())), (" 10.66.0.66 ", Ok(())), (WAS, HELD), ("any", HELD), ("", HELD)]
    {
        bmc.metadata.annotations = accept(accepts);
        let found = reason(&bmc, None, (Scheme::Http, NEW), Verification::Pinned);
        assert_eq!(found, expected, "{accepts}");
    }
}

#[test]
fn the_advice_to_delete_a_bmc_keeps_its_servers() {
    let mut inline = bmc(Some(at(WAS, None)));
    inline.spec.endpoint_ref = None;
    let to = destination(Scheme::Http, NEW);
    let login = Login { bmc: &inline, secret: None, at: &to };
    let told = login.is_allowed(Verification::Pinned, now()).unwrap_err().message;
    assert!(told.contains("delete this BMC with --cascade=orphan"), "{told}");
}

#[test]
fn a_bmc_that_was_never_known_is_logged_in_to() {
    let bmc = bmc(None);
    for secret in [None, Some(secret("bmc-1", &[])), Some(secret("all", &[]))] {
        let found = reason(&bmc, secret.as_ref(), (Scheme::Http, NEW), Verification::Pinned);
        assert_eq!(found, Ok(()));
    }
}

#[test]
fn where_there_are_authorities_no_first_password_goes_over_http() {
    use Scheme::{Http, Https};
    use Verification::{Authorities, Off, Pinned};
    for maker in ["metal-operator", "netboot"] {
        let mut bmc = bmc(None);
        let own = secret("bmc-1", &[(annotation::KNOWN_ADDRESS, NEW)]);
        for (scheme, verification, expected) in [
            (Http, Authorities, HELD),
            (Https, Authorities, Ok(())),
            (Http, Pinned, Ok(())),
            (Http, Off, Ok(())),
        ] {
            let first = |bmc: &Bmc| reason(bmc, Some(&own), (scheme, NEW), verification);
            assert_eq!(first(&bmc), Ok(()), "{scheme:?} {verification:?}: made by a person");
            let label = (annotation::MANAGED_BY.to_owned(), maker.to_owned());
            bmc.metadata.labels = Some([label].into());
            assert_eq!(first(&bmc), expected, "{scheme:?} {verification:?}: made by {maker}");
            let known = Bmc { status: Some(at(NEW, None)), ..bmc.clone() };
            assert_eq!(first(&known), Ok(()), "{scheme:?} {verification:?}: it has answered");
            let mut vouched = bmc.clone();
            for (address, expected) in [(WAS, expected), (NEW, Ok(()))] {
                let accept = (annotation::ACCEPT_ADDRESS.to_owned(), address.to_owned());
                vouched.metadata.annotations = Some([accept].into());
                assert_eq!(first(&vouched), expected, "{scheme:?} {verification:?} {address}");
            }
            bmc.metadata.labels = None;
        }
    }
}

#[test]
fn a_bmc_object_that_was_made_again_is_held_to_what_its_credentials_remember() {
    let old = (annotation::KNOWN_SINCE, "2026-01-01T00:00:00Z");
    let at = (annotation::KNOWN_ADDRESS, WAS);
    let pin = (annotation::KNOWN_CERTIFICATE, PIN);
    for status in [None, Some(BmcStatus::default())] {
        let bmc = bmc(status);
        for (notes, scheme, expected) in [
            (&[at, old][..], Scheme::Http, HELD),
            (&[at][..], Scheme::Http, HELD),
            (&[at, old][..], Scheme::Https, HELD),
            (&[at, old, pin][..], Scheme::Https, Ok(())),
            (&[at, old, pin][..], Scheme::Http, HELD),
        ] {
            let own = secret("bmc-1", notes);
            let found = reason(&bmc, Some(&own), (scheme, NEW), Verification::Pinned);
            assert_eq!(found, expected, "{notes:?}");
            assert_eq!(reason(&bmc, Some(&own), (scheme, WAS), Verification::Pinned), Ok(()));
            let has_pin = notes.contains(&pin).then_some(PIN);
            assert_eq!(pinned(&bmc, &own), has_pin);
            let shared = secret("all", notes);
            assert_eq!(pinned(&bmc, &shared), None);
        }
    }
}

#[test]
fn a_bmc_that_comes_up_may_change_its_address_before_it_has_answered() {
    let bmc = bmc(None);
    let at = (annotation::KNOWN_ADDRESS, "fd77::5");
    for (since, expected) in [
        ("2026-01-01T23:59:00Z", Ok(())),
        ("2026-01-01T22:59:00Z", HELD),
        ("2026-01-02T00:01:00Z", HELD),
        ("yesterday", HELD),
    ] {
        let own = secret("bmc-1", &[at, (annotation::KNOWN_SINCE, since)]);
        let found = reason(&bmc, Some(&own), (Scheme::Http, WAS), Verification::Pinned);
        assert_eq!(found, expected, "{since}");
    }
}

#[test]
fn a_certificate_that_a_client_drops_from_the_status_is_still_the_only_one_that_is_trusted() {
    let dropped = bmc(Some(at(WAS, None)));
    let own = secret("bmc-1", &[(annotation::KNOWN_CERTIFICATE, PIN)]);
    assert_eq!(pinned(&dropped, &own), Some(PIN));
    let key = format!("{}{WAS}.443", annotation::KNOWN_CERTIFICATE_AT);
    assert_eq!(pinned(&dropped, &secret("all", &[(&key, PIN)])), Some(PIN));
    assert_eq!(pinned(&bmc(Some(at(WAS, Some("sha256:bb")))), &own), Some("sha256:bb"));
}

#[test]
fn a_person_accepts_one_certificate_instead_of_the_pinned_one() {
    let new = format!("sha256:{}", "AB".repeat(32));
    let own = secret("bmc-1", &[(annotation::KNOWN_CERTIFICATE, PIN)]);
    for status in [at(WAS, None), at(WAS, Some(PIN))] {
        let mut bmc = bmc(Some(status));
        for (text, expected) in
            [(new.clone(), new.as_str()), (format!(" {new} "), &new), ("any".to_owned(), PIN)]
        {
            let accept = (annotation::ACCEPT_CERTIFICATE.to_owned(), text);
            bmc.metadata.annotations = Some([accept].into());
            assert_eq!(pinned(&bmc, &own), Some(expected));
        }
    }
}

#[test]
fn credentials_of_its_own_remember_a_bmc_once_it_has_answered() {
    let known = bmc(Some(at(WAS, Some(PIN))));
    let fresh = secret("bmc-1", &[(annotation::KNOWN_ADDRESS, WAS)]);
    let note = note_of(&known, &fresh).unwrap();
    let expected = [
        (annotation::KNOWN_ADDRESS.into(), Some(WAS.to_owned())),
        (annotation::KNOWN_CERTIFICATE.into(), Some(PIN.to_owned())),
    ];
    assert_eq!(note, CredentialAnnotations::from(expected));
    // With http there is nothing to add, which saves a write for each BMC.
    assert_eq!(note_of(&bmc(Some(at(WAS, None))), &fresh), None);
    assert_eq!(note_of(&bmc(None), &fresh), None);
}

#[test]
fn credentials_of_many_bmcs_remember_each_by_its_name_and_its_address() {
    let known = bmc(Some(at(WAS, Some(PIN))));
    let shared = secret("all", &[]);
    let note = note_of(&known, &shared).unwrap();
    let key = format!("{}{WAS}.443", annotation::KNOWN_CERTIFICATE_AT);
    let name = format!("{}bmc-1", annotation::KNOWN_ADDRESS_OF);
    let expected =
        [(key.clone().into(), Some(PIN.to_owned())), (name.clone().into(), Some(WAS.to_owned()))];
    assert_eq!(note, CredentialAnnotations::from(expected));
    let both = secret("all", &[(&key, PIN), (&name, WAS)]);
    assert_eq!(note_of(&known, &both), None, "it is there");
    assert_eq!(pinned(&bmc(None), &both), Some(PIN));
    // As stored before addresses were.
    let older = secret("all", &[(&key, PIN)]);
    assert_eq!(pinned(&bmc(None), &older), Some(PIN));
    let (bmc, elsewhere) = (bmc(None), destination(Scheme::Https, NEW));
    let login = Login { bmc: &bmc, secret: Some(&older), at: &elsewhere };
    assert_eq!(login.certificate(), None);
    assert_eq!(note_of(&bmc, &secret("all", &[])), None);
}

#[test]
fn a_bmc_with_shared_credentials_is_held_to_its_address_and_certificate_when_its_status_is_lost() {
    use Scheme::{Http, Https};
    let key = format!("{}{WAS}.443", annotation::KNOWN_CERTIFICATE_AT);
    let name = format!("{}bmc-1", annotation::KNOWN_ADDRESS_OF);
    let other = format!("{}bmc-2", annotation::KNOWN_ADDRESS_OF);
    for status in [None, Some(BmcStatus::default())] {
        let bmc = bmc(status);
        for (notes, scheme, expected, pin) in [
            (&[(name.as_str(), WAS), (key.as_str(), PIN)][..], Https, Ok(()), Some(PIN)),
            (&[(name.as_str(), WAS)][..], Https, HELD, None),
            (&[(name.as_str(), WAS)][..], Http, HELD, None),
            (&[(name.as_str(), NEW)][..], Http, Ok(()), None),
            (&[(other.as_str(), WAS)][..], Http, Ok(()), None),
        ] {
            let shared = secret("all", notes);
            let found = reason(&bmc, Some(&shared), (scheme, NEW), Verification::Pinned);
            assert_eq!(found, expected, "{scheme:?} {notes:?}");
            let to = destination(scheme, NEW);
            let login = Login { bmc: &bmc, secret: Some(&shared), at: &to };
            assert_eq!(login.certificate(), pin, "{scheme:?} {notes:?}");
        }
    }
}
