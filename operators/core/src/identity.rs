//! Which machine is which: by its BMC, its system on that BMC, and its UUID.
//!
//! UUIDs are compared in both byte orders of SMBIOS and in any notation. Only all three together
//! identify a machine: boards are replaced, blades change places, and firmware invents UUIDs.

use crate::{
    ownership::{NETBOOT, is_made_by},
    redfish::SystemReading,
    system_uuid::{identifying, swapped},
    unanswered::has_answered,
};
use metal_api::{Bmc, Endpoint, Server};
use uuid::Uuid;

/// The UUID of a server; `None` if it has none that identifies a machine.
pub fn uuid_of(server: &Server) -> Option<Uuid> {
    parsed(&server.spec.effective_uuid()?)
}

/// Whether two UUIDs are equal, in either byte order and any notation. Text that is not a UUID, or
/// a UUID that many boards share, equals nothing.
pub fn is_same_uuid(one: &str, other: &str) -> bool {
    let both = parsed(one).zip(parsed(other));
    both.is_some_and(|(one, other)| one == other || one == swapped(other))
}

/// Whether a server has a UUID.
pub fn has_uuid(server: &Server, uuid: &str) -> bool {
    server.spec.effective_uuid().is_some_and(|own| is_same_uuid(&own, uuid))
}

/// A UUID in both byte orders, in canonical form; the text itself if it is not a UUID.
pub fn keys(text: &str) -> impl Iterator<Item = String> {
    let uuid = text.trim().parse::<Uuid>().ok();
    let own = uuid.map_or_else(|| text.trim().to_ascii_lowercase(), |uuid| uuid.to_string());
    let other = uuid.map(|uuid| swapped(uuid).to_string()).filter(|other| *other != own);
    [Some(own), other].into_iter().flatten()
}

/// Whether two URIs refer to the same resource.
pub fn is_same_uri(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Whether a BMC has another machine at the URI of a server.
pub fn is_another(server: &Server, system: &SystemReading) -> bool {
    let uuid = system.uuid.as_deref().and_then(parsed);
    let own = uuid_of(server);
    uuid.zip(own).is_some_and(|(uuid, own)| uuid != own && uuid != swapped(own))
}

/// Whether another object for the machine of a server is a reason to leave the server alone. If a
/// person has admitted the server, one that nobody has admitted is not: it was recorded without
/// proof.
pub fn is_twin(own: &Server, other: &Server) -> bool {
    own.metadata.name != other.metadata.name && (!is_strange(other) || is_strange(own))
}

/// Of things with the same identity, keeps only those of admitted servers, if there are any.
pub fn keep_admitted<T>(all: &mut Vec<T>, server: impl Fn(&T) -> &Server) {
    if all.iter().any(|it| !is_strange(server(it))) {
        all.retain(|it| !is_strange(server(it)));
    }
}

fn is_strange(server: &Server) -> bool {
    server.spec.is_held() && server.spec.server_claim_ref.is_none()
}

/// Whether another Endpoint with the same address is a reason to trust neither. If the own BMC has
/// answered, one that netboot found and whose BMC never answered is not.
pub fn is_rival(own: Option<&Bmc>, other: &Endpoint, bmc_of_other: Option<&Bmc>) -> bool {
    let answers = |bmc: Option<&Bmc>| bmc.is_some_and(has_answered);
    let is_strange = is_made_by(other, NETBOOT) && !answers(bmc_of_other);
    !(is_strange && answers(own))
}

fn parsed(text: &str) -> Option<Uuid> {
    text.trim().parse().ok().and_then(identifying)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{EndpointSpec, ServerSpec, Taint, annotation};

    const UUID: &str = "38947555-7742-3448-3784-823347823834";

    fn server(name: &str, uuid: &str) -> Server {
        let system_uuid = Some(uuid.to_owned());
        Server::new(name, ServerSpec { system_uuid, ..ServerSpec::default() })
    }

    #[test]
    fn a_uuid_is_one_in_any_notation_and_in_either_byte_order() {
        let swapped = "55759438-4277-4834-3784-823347823834";
        for text in [
            UUID.to_owned(),
            UUID.to_uppercase(),
            UUID.replace('-', ""),
            format!(" {{{UUID}}} "),
            format!("urn:uuid:{UUID}"),
            swapped.to_owned(),
            swapped.replace('-', ""),
        ] {
            assert!(is_same_uuid(&text, UUID) && has_uuid(&server("a", UUID), &text), "{text}");
            assert!(keys(&text).any(|key| key == UUID), "{text}");
            assert!(keys(UUID).any(|key| keys(&text).any(|other| other == key)), "{text}");
        }
        assert!(!is_same_uuid(UUID, "38947555-7742-3448-3784-823347823835"));
    }

    #[test]
    fn what_is_no_uuid_is_that_of_nothing() {
        for text in ["", " ", "abcd", "00000000-0000-0000-0000-000000000000"] {
            assert!(!is_same_uuid(text, text) && uuid_of(&server("a", text)).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_server_that_nobody_has_admitted_makes_no_other_ambiguous() {
        let (own, mut held) = (server("a", UUID), server("b", UUID));
        assert!(is_twin(&own, &held) && is_twin(&held, &own) && !is_twin(&own, &own));
        let key = Taint::NOT_ADMITTED.to_owned();
        held.spec.taints = vec![Taint { key, value: None, effect: None }];
        assert!(!is_twin(&own, &held) && is_twin(&held, &own));
        assert!(is_twin(&Server { metadata: own.metadata.clone(), ..held.clone() }, &held));
        let kept = |all: &[&Server]| {
            let mut all = all.to_vec();
            keep_admitted(&mut all, |it| it);
            all.iter().filter_map(|it| it.metadata.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!((kept(&[&held, &own]), kept(&[&held])), (vec!["a".into()], vec!["b".into()]));
        // A running host belongs to somebody, whatever else is recorded.
        held.spec.server_claim_ref = Some(metal_api::ClaimReference::default());
        assert!(is_twin(&own, &held));
        assert_eq!(kept(&[&held, &own]), ["b", "a"]);
    }

    #[test]
    fn an_address_found_by_dhcp_says_nothing_against_a_bmc_that_answers() {
        let mut other = Endpoint::new("b", EndpointSpec::default());
        let silent = Bmc::new("a", metal_api::BmcSpec::default());
        let mut known = silent.clone();
        known.status =
            Some(metal_api::BmcStatus { ip: Some("10.0.0.1".to_owned()), ..Default::default() });
        assert!(is_rival(Some(&known), &other, None), "a person has made it");
        let label = (annotation::MANAGED_BY.to_owned(), NETBOOT.to_owned());
        other.metadata.labels = Some([label].into());
        assert!(!is_rival(Some(&known), &other, Some(&silent)));
        assert!(is_rival(Some(&known), &other, Some(&known)) && is_rival(None, &other, None));
        assert!(is_rival(Some(&silent), &other, Some(&silent)));
    }
}
