//! Which machine is which: by its BMC, its system on that BMC, and its UUID.
//!
//! UUIDs are compared in both byte orders of SMBIOS and in any notation. Only all three together
//! identify a machine: boards are replaced, blades change places, and firmware invents UUIDs.

use crate::{
    ownership::{NETBOOT, is_made_by},
    redfish::SystemReading,
    unanswered::has_answered,
};
use metal_api::{Bmc, Endpoint, Server, SystemUuid};

/// Whether a server has a UUID.
pub fn has_uuid(server: &Server, uuid: SystemUuid) -> bool {
    server.spec.effective_uuid().is_some_and(|own| own.is_same(uuid))
}

/// Whether two URIs refer to the same resource.
pub fn is_same_uri(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// How what a BMC has at the URI of a server is identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UuidMatch {
    /// By the UUID of the server.
    Same,
    /// By another UUID.
    Another,
    /// By a UUID that many boards are shipped with: the board may have been replaced.
    NotUnique,
    /// By none, or not yet: some boards have none until they are powered on for the first time.
    NotReported,
}

/// Which machine a BMC has at the URI of a server.
pub fn identify(server: &Server, system: &SystemReading) -> UuidMatch {
    match (system.uuid, server.spec.effective_uuid()) {
        (Some(uuid), Some(own)) if uuid.is_same(own) => UuidMatch::Same,
        (Some(_), _) => UuidMatch::Another,
        (None, _) if system.has_shipped_uuid => UuidMatch::NotUnique,
        (None, _) => UuidMatch::NotReported,
    }
}

/// Whether another object for the machine of a server is a reason to leave the server alone. If a
/// person has admitted the server, one that nobody has admitted is not: it was recorded without
/// proof.
pub fn is_twin(own: &Server, other: &Server) -> bool {
    own.metadata.name != other.metadata.name && (!is_unadmitted(other) || is_unadmitted(own))
}

/// Whether somebody has admitted a server, or it runs the host of a claim. What else is recorded was
/// recorded without proof: anybody may have put any address into its inventory.
pub fn is_admitted(server: &Server) -> bool {
    !is_unadmitted(server)
}

/// The servers that a booting machine may be: those with its UUID, and those that have its MAC address
/// in their inventory. Several of them contradict each other.
///
/// ```text
/// one has both                those with the UUID, whatever other inventories contain: interfaces are
///                             moved
/// none has both               all of them
/// somebody has admitted any   those
/// nobody has                  those with the UUID: any inventory can have any MAC address
/// ```
pub fn of_machine<T>(
    mut by_uuid: Vec<T>,
    mut by_mac: Vec<T>,
    server: impl Fn(&T) -> &Server,
) -> Vec<T> {
    let name = |it: &T| server(it).metadata.name.clone();
    if by_uuid.iter().chain(&by_mac).any(|it| is_admitted(server(it))) {
        by_uuid.retain(|it| is_admitted(server(it)));
    }
    by_mac.retain(|it| is_admitted(server(it)));
    let has_both = by_uuid.iter().any(|it| by_mac.iter().any(|other| name(other) == name(it)));
    if has_both {
        by_mac.clear();
    }
    let mut all: Vec<T> = Vec::new();
    for it in by_uuid.into_iter().chain(by_mac) {
        if all.iter().all(|other| name(other) != name(&it)) {
            all.push(it);
        }
    }
    all
}

/// Of things with the same identity, keeps only those of admitted servers, if there are any.
pub fn keep_admitted<T>(all: &mut Vec<T>, server: impl Fn(&T) -> &Server) {
    if all.iter().any(|it| !is_unadmitted(server(it))) {
        all.retain(|it| !is_unadmitted(server(it)));
    }
}

fn is_unadmitted(server: &Server) -> bool {
    server.spec.is_held() && server.spec.server_claim_ref.is_none()
}

/// Whether another Endpoint with the same address is a reason to trust neither. If the own BMC has
/// answered, one that netboot found and whose BMC never answered is not.
pub fn is_rival(own: Option<&Bmc>, other: &Endpoint, bmc_of_other: Option<&Bmc>) -> bool {
    let answers = |bmc: Option<&Bmc>| bmc.is_some_and(has_answered);
    let is_unproved = is_made_by(other, NETBOOT) && !answers(bmc_of_other);
    !(is_unproved && answers(own))
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
    fn a_server_has_its_uuid_in_either_byte_order_and_none_that_is_no_uuid() {
        let uuid = UUID.parse().unwrap();
        for (text, has) in [
            (format!(" {{{}}} ", UUID.to_uppercase()), true),
            ("55759438-4277-4834-3784-823347823834".to_owned(), true),
            ("38947555-7742-3448-3784-823347823835".to_owned(), false),
            ("abcd".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(has_uuid(&server("a", &text), uuid), has, "{text:?}");
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
    fn a_machine_is_the_server_with_its_uuid_and_its_mac_address_and_no_stranger() {
        let [own, other, held] = ["own", "other", "held"].map(|name| {
            let mut server = server(name, UUID);
            let key = Taint::NOT_ADMITTED.to_owned();
            let is_held = name == "held";
            server.spec.taints =
                is_held.then_some(Taint { key, value: None, effect: None }).into_iter().collect();
            server
        });
        for (by_uuid, by_mac, found) in [
            (vec![&own], vec![&own], vec!["own"]),
            (vec![&own], vec![], vec!["own"]),
            (vec![], vec![&own], vec!["own"]),
            // An interface that was moved is still in another inventory.
            (vec![&own], vec![&other, &own], vec!["own"]),
            // A contradiction.
            (vec![&own], vec![&other], vec!["own", "other"]),
            (vec![&own, &other], vec![&other, &own], vec!["own", "other"]),
            (vec![&own, &other], vec![&own], vec!["own", "other"]),
            // A stranger says anything.
            (vec![&own], vec![&held], vec!["own"]),
            (vec![], vec![&held, &own], vec!["own"]),
            (vec![&held], vec![&held, &own], vec!["own"]),
            (vec![&held, &own], vec![&held], vec!["own"]),
            (vec![], vec![&held], vec![]),
            (vec![&held], vec![&held], vec!["held"]),
        ] {
            let all = of_machine(by_uuid.clone(), by_mac.clone(), |it| it);
            let names: Vec<_> = all.iter().filter_map(|it| it.metadata.name.as_deref()).collect();
            assert_eq!(names, found, "{by_uuid:?} {by_mac:?}");
        }
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
