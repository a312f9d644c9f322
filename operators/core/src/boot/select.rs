//! Selects the boot config for a machine.

use super::{Refusal, decision::is_held_back};
use metal_api::{ObjectReference, Server, ServerState};

/// A boot config with the identity of the machine.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Namespace and name, for messages.
    pub name: String,
    /// Who made it.
    pub owner: Owner,
    /// Servers with the system UUID of the boot config; if a person made it, also those with its
    /// addresses, or with those of the client.
    pub servers: Vec<&'a Server>,
}

/// Who made a boot config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person, or an unknown program.
    Unknown,
    /// This ServerBootConfiguration, which exists.
    Configuration(ObjectReference),
    /// A ServerBootConfiguration that was deleted, or recreated since.
    Gone,
}

/// The relation of a candidate to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// What the server boots.
    Workload,
    /// What the server boots during a maintenance.
    Maintenance { is_now: bool },
    /// It is for a machine that is not a Server.
    Free,
}

/// The index of the candidate that a machine gets.
///
/// A machine that is a Server gets what the Server refers to, and nothing else, even if there is
/// just one candidate: the right to create boot configs must not allow anybody to take over the
/// machines of others. A machine that is not a Server gets what a person made for it.
///
/// # Errors
///
/// If there is no valid candidate, or more than one; it never picks the first of several.
pub fn select(candidates: &[Candidate<'_>]) -> Result<usize, Refusal> {
    if candidates.is_empty() {
        return Err(Refusal::Unknown);
    }
    let mut roles = vec![];
    for (at, candidate) in candidates.iter().enumerate() {
        // What a person made is for none of them.
        let is_by_hand = candidate.owner == Owner::Unknown;
        if let ([_, _, ..], false) = (candidate.servers.as_slice(), is_by_hand) {
            let names = candidate.servers.iter().filter_map(|s| s.metadata.name.clone());
            return Err(Refusal::Ambiguous { names: names.collect() });
        }
        roles.extend(role_of(candidate).map(|role| (at, role)));
    }
    match roles.as_slice() {
        [] => Err(Refusal::NotCurrent),
        [(at, _)] => Ok(*at),
        [(one, Role::Maintenance { is_now }), (other, Role::Workload)]
        | [(other, Role::Workload), (one, Role::Maintenance { is_now })]
            if is_one_server(&candidates[*one], &candidates[*other]) =>
        {
            Ok(if *is_now { *one } else { *other })
        }
        several => {
            let names = several.iter().map(|(at, _)| candidates[*at].name.clone());
            Err(Refusal::Ambiguous { names: names.collect() })
        }
    }
}

fn role_of(candidate: &Candidate<'_>) -> Option<Role> {
    let server = match (candidate.servers.as_slice(), &candidate.owner) {
        ([server, ..], _) => server,
        ([], Owner::Unknown) => return Some(Role::Free),
        ([], Owner::Configuration(_) | Owner::Gone) => return None,
    };
    let Owner::Configuration(owner) = &candidate.owner else { return None };
    let spec = &server.spec;
    if is_held_back(server) {
        return None;
    }
    if spec.maintenance_boot_configuration_ref.as_ref() == Some(owner) {
        let state = server.status.as_ref().and_then(|status| status.state.as_ref());
        return Some(Role::Maintenance { is_now: state == Some(&ServerState::Maintenance) });
    }
    (spec.boot_configuration_ref.as_ref() == Some(owner)).then_some(Role::Workload)
}

fn is_one_server(one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    let name = |candidate: &Candidate<'_>| {
        candidate.servers.first().and_then(|server| server.metadata.name.clone())
    };
    name(one) == name(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{ServerSpec, ServerStatus};

    #[test]
    fn nothing_configured_is_unknown() {
        assert_eq!(select(&[]), Err(Refusal::Unknown));
    }

    #[test]
    fn a_server_gets_what_it_refers_to_and_nothing_else() {
        let server = server("a", Some("work"), None, ServerState::Reserved);
        let (work, other) = (owned("work", &server), owned("other", &server));
        assert_eq!(select(&[other.clone(), work.clone()]), Ok(1));
        assert_eq!(select(&[work, other.clone()]), Ok(0));
        assert_eq!(select(&[other]), Err(Refusal::NotCurrent), "also if it is the only one");
    }

    #[test]
    fn a_server_that_nobody_has_admitted_boots_its_discovery_and_nothing_else() {
        for (state, expected) in [
            (ServerState::Initial, Ok(0)),
            (ServerState::Discovery, Ok(0)),
            (ServerState::Available, Err(Refusal::NotCurrent)),
            (ServerState::Reserved, Err(Refusal::NotCurrent)),
        ] {
            let mut server = server("a", Some("work"), None, state);
            let key = metal_api::Taint::NOT_ADMITTED.to_owned();
            server.spec.taints = vec![metal_api::Taint { key, ..metal_api::Taint::default() }];
            assert_eq!(select(&[owned("work", &server)]), expected);
        }
    }

    #[test]
    fn a_server_gets_nothing_that_was_made_by_hand() {
        let server = server("a", Some("work"), None, ServerState::Reserved);
        let (hand, work) = (by_hand(vec![&server]), owned("work", &server));
        assert_eq!(select(std::slice::from_ref(&hand)), Err(Refusal::NotCurrent));
        assert_eq!(select(&[hand, work.clone()]), Ok(1));
        let other = self::server("b", None, None, ServerState::Available);
        let both = by_hand(vec![&server, &other]);
        assert_eq!(select(std::slice::from_ref(&both)), Err(Refusal::NotCurrent));
        assert_eq!(select(&[both, work]), Ok(1), "nor does it make the server ambiguous");
    }

    #[test]
    fn a_machine_that_is_no_server_gets_what_was_made_by_hand_if_it_is_one() {
        let (one, two) = (by_hand(vec![]), by_hand(vec![]));
        assert_eq!(select(std::slice::from_ref(&one)), Ok(0));
        let names = vec!["ns/hand".to_owned(), "ns/hand".to_owned()];
        assert_eq!(select(&[one, two]), Err(Refusal::Ambiguous { names }));
    }

    #[test]
    fn what_belongs_to_a_configuration_that_is_gone_is_not_served() {
        let server = server("a", Some("work"), None, ServerState::Reserved);
        let gone = Candidate { owner: Owner::Gone, ..owned("work", &server) };
        assert_eq!(select(&[gone]), Err(Refusal::NotCurrent));
        let gone = Candidate { owner: Owner::Gone, ..by_hand(vec![]) };
        assert_eq!(select(&[gone]), Err(Refusal::NotCurrent));
    }

    #[test]
    fn during_a_maintenance_its_own_configuration_counts() {
        for (state, expected) in
            [(ServerState::Maintenance, "fix"), (ServerState::Reserved, "work")]
        {
            let server = server("a", Some("work"), Some("fix"), state);
            let (work, fix) = (owned("work", &server), owned("fix", &server));
            let both = [work.clone(), fix.clone()];
            assert_eq!(both[select(&both).unwrap()].name, format!("ns/{expected}"));
            let both = [fix.clone(), work.clone()];
            assert_eq!(both[select(&both).unwrap()].name, format!("ns/{expected}"));
            assert_eq!((select(&[work]), select(&[fix])), (Ok(0), Ok(0)), "one is all there is");
        }
    }

    #[test]
    fn two_servers_with_one_identity_are_never_guessed() {
        let a = server("a", Some("work"), None, ServerState::Reserved);
        let b = server("b", None, None, ServerState::Available);
        let twins = Candidate { servers: vec![&a, &b], ..owned("work", &a) };
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(select(&[twins]), Err(Refusal::Ambiguous { names }));
    }

    #[test]
    fn configurations_of_two_servers_with_one_address_are_never_guessed() {
        let a = server("a", Some("work"), None, ServerState::Maintenance);
        let b = server("b", None, Some("fix"), ServerState::Maintenance);
        let refused = select(&[owned("work", &a), owned("fix", &b)]);
        assert!(matches!(refused, Err(Refusal::Ambiguous { .. })), "{refused:?}");
    }

    fn owned<'a>(name: &str, server: &'a Server) -> Candidate<'a> {
        Candidate {
            name: format!("ns/{name}"),
            owner: Owner::Configuration(ObjectReference::new("ns", name)),
            servers: vec![server],
        }
    }

    fn by_hand(servers: Vec<&Server>) -> Candidate<'_> {
        Candidate { name: "ns/hand".to_owned(), owner: Owner::Unknown, servers }
    }

    fn server(
        name: &str,
        workload: Option<&str>,
        maintenance: Option<&str>,
        state: ServerState,
    ) -> Server {
        let reference = |name: &str| ObjectReference::new("ns", name);
        let spec = ServerSpec {
            boot_configuration_ref: workload.map(reference),
            maintenance_boot_configuration_ref: maintenance.map(reference),
            ..ServerSpec::default()
        };
        let mut server = Server::new(name, spec);
        server.status = Some(ServerStatus { state: Some(state), ..ServerStatus::default() });
        server
    }
}
