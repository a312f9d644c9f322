//! Which systems of a BMC become Servers.

use super::*;

#[test]
fn server_is_found_by_its_uuid_whatever_its_name_and_position() {
    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    server.metadata.name = Some("by-hand".to_owned());
    server.spec.system_uri = Some("/redfish/v1/Systems/old".to_owned());
    scene.servers = vec![Arc::new(server)];
    let Decision::Change(Change::Update { server, system_uri, .. }) = scene.decide() else {
        panic!()
    };
    assert_eq!(server.metadata.name.as_deref(), Some("by-hand"));
    assert_eq!(system_uri, "/redfish/v1/Systems/1");
}

#[test]
fn system_without_uuid_and_one_that_another_bmc_has_are_told_and_left_out() {
    let mut scene = Scene::new();
    scene.reading = Some(Ok(said(None)));
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));

    let mut scene = Scene::new();
    scene.record();
    let mut server = scene.created().remove(0);
    server.spec.bmc_ref = Some(LocalObjectReference { name: "other".to_owned() });
    scene.servers = vec![Arc::new(server)];
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn every_system_of_a_bmc_becomes_a_server_at_once() {
    let mut scene = Scene::new();
    scene.reading = Some(Ok(systems(&[(1, UUID), (2, OTHER), (2, OTHER)])));
    scene.record();
    let foreign = server_name("bmc-1", 0);
    scene.servers = vec![Arc::new(Server::new(&foreign, metal_api::ServerSpec::default()))];
    let created = scene.created();
    let names: Vec<_> = created.iter().map(|it| it.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["bmc-1-system-1", "bmc-1-system-2"]);
    let uuids: Vec<_> = created.iter().map(|it| it.spec.system_uuid.as_deref().unwrap()).collect();
    assert_eq!(uuids, [UUID, OTHER]);
    scene.servers.extend(created.into_iter().map(Arc::new));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn a_bmc_with_the_longest_name_has_servers_whose_names_the_api_server_takes() {
    let long = |last: char| format!("{}.{last}", "a".repeat(251));
    let (one, other) = (server_name(&long('x'), 0), server_name(&long('y'), 0));
    let secret = format!("{}-ssh", server_name(&long('x'), 999));
    assert!(one.len() <= 253 && secret.len() <= 253, "{secret}");
    assert_ne!(one, other, "two BMCs whose names begin alike");
    assert!(one.split('.').all(|label| !label.starts_with('-') && !label.ends_with('-')), "{one}");
    let dotted = server_name(&format!("b{}", "a.".repeat(120)), 0);
    assert!(!dotted.contains(".-"), "{dotted}");
    let fits = "b".repeat(238);
    assert_eq!(server_name(&fits, 12), format!("{fits}-system-12"), "as before");
}

#[test]
fn a_bmc_that_reports_other_systems_each_time_gets_no_more_than_so_many_servers() {
    let mut scene = Scene::new();
    let reported = |round: u32| {
        let systems = (round * 64..(round + 1) * 64).map(|number| {
            system(number, Some(&format!("38947555-7742-3448-3784-8233478{number:05x}")))
        });
        Answers { systems: systems.collect(), ..said(None) }
    };
    for round in 0..4 {
        scene.reading = Some(Ok(reported(round)));
        if matches!(scene.decide(), Decision::Record(_)) {
            scene.record();
        }
        if let Decision::Change(Change::Create(servers)) = scene.decide() {
            scene.servers.extend(servers.into_iter().map(Arc::new));
        }
    }
    assert_eq!(scene.servers.len(), 128);
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    let message = scene.message(condition::SYSTEMS_KNOWN);
    assert!(message.contains("128 Servers: delete"), "{message}");
}

#[test]
fn systems_of_one_bmc_with_one_uuid_are_told_apart_by_nobody_and_the_server_there_is_stays() {
    let mut scene = Scene::new();
    scene.record();
    let server = scene.created().remove(0);
    let mut alone = Scene::new();
    for scene in [&mut scene, &mut alone] {
        scene.reading = Some(Ok(systems(&[(2, UUID), (1, UUID), (3, OTHER)])));
    }
    scene.servers = vec![Arc::new(server)];
    for (mut scene, kept) in
        [(scene, "server bmc-1-system-0 remains assigned to"), (alone, "no Server is created")]
    {
        scene.record();
        let created = scene.created();
        assert_eq!(created.len(), 1, "the third is another one");
        scene.servers.extend(created.into_iter().map(Arc::new));
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        let message = scene.message(condition::SYSTEMS_KNOWN);
        assert!(message.contains("Systems/2 and /redfish/v1/Systems/1 of this BMC"), "{message}");
        assert!(message.contains(kept) && message.contains("BIOS"), "{message}");
        assert!(!message.contains("delete"), "{message}");
    }
}

#[test]
fn a_system_whose_uuid_has_changed_is_told_and_becomes_no_second_server() {
    let mut scene = Scene::new();
    scene.record();
    let known = scene.created().remove(0);
    let unset = |server: &mut Server| server.spec.system_uuid = Some(String::new());
    let slash = |server: &mut Server| server.spec.system_uri.as_mut().unwrap().push('/');
    for edit in [|_: &mut Server| (), unset, slash] {
        let mut server = known.clone();
        edit(&mut server);
        scene.servers = vec![Arc::new(server)];
        scene.reading = Some(Ok(said(Some(OTHER))));
        scene.bmc.status = None;
        scene.record();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        let message = scene.message(condition::SYSTEMS_KNOWN);
        let fix = format!("set spec.systemUUID of server bmc-1-system-0 to {OTHER}");
        assert!(message.contains(&fix), "{message}");
    }
}

#[test]
fn a_uuid_in_the_other_byte_order_is_that_of_the_server_there_is() {
    for bmc in ["bmc-1", "victim"] {
        let mut scene = Scene::new();
        scene.record();
        let mut server = scene.created().remove(0);
        server.spec.bmc_ref = Some(LocalObjectReference { name: bmc.to_owned() });
        scene.servers = vec![Arc::new(server)];
        scene.reading = Some(Ok(said(Some("55759438-4277-4834-3784-823347823834"))));
        if bmc == "victim" {
            scene.record();
            assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
        }
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    }
}

#[test]
fn systems_that_change_places_take_their_servers_along_before_a_new_one_is_welcome() {
    let mut scene = Scene::new();
    scene.record();
    let server = scene.created().remove(0);
    scene.servers = vec![Arc::new(server.clone())];
    // The known one is in second place now, and a new one in first place.
    scene.reading = Some(Ok(systems(&[(1, OTHER), (2, UUID)])));
    if matches!(scene.decide(), Decision::Record(_)) {
        scene.record();
    }
    let Decision::Change(Change::Update { server: moved, system_uri, .. }) = scene.decide() else {
        panic!()
    };
    assert_eq!(moved.metadata.name, server.metadata.name);
    let mut moved = server;
    moved.spec.system_uri = Some(system_uri);
    scene.servers = vec![Arc::new(moved)];
    assert_eq!(scene.created()[0].spec.system_uuid.as_deref(), Some(OTHER));
}

#[test]
fn the_system_of_a_server_that_cannot_be_read_becomes_no_second_one() {
    let mut scene = Scene::new();
    scene.unreadable = vec!["bmc-1-system-0".to_owned()];
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(scene.message(condition::SYSTEMS_KNOWN).contains("bmc-1-system-0"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.unreadable.clear();
    scene.record();
    assert_eq!(scene.created().len(), 1);
}

#[test]
fn no_advice_about_a_shared_uuid_is_to_delete_a_server() {
    let mut scene = Scene::new();
    scene.record();
    let ours = scene.created().remove(0);
    let mut other = ours.clone();
    other.metadata.name = Some("other".to_owned());
    other.spec.bmc_ref = None;
    for servers in [vec![other.clone()], vec![ours, other]] {
        scene.servers = servers.into_iter().map(Arc::new).collect();
        scene.record();
        let message = scene.message(condition::SYSTEMS_KNOWN);
        assert!(message.contains("server other of no BMC object"), "{message}");
        assert!(message.contains("BIOS") && !message.contains("delete"), "{message}");
        scene.bmc.status.as_mut().unwrap().conditions.retain(|c| c.type_ == condition::READY);
    }
}

#[test]
fn system_that_offers_no_reset_becomes_no_server() {
    let mut scene = Scene::new();
    let mut board = said(Some(UUID));
    board.systems[0].lacks_reset = true;
    scene.reading = Some(Ok(board));
    scene.record();
    assert_eq!(scene.condition(condition::SYSTEMS_KNOWN), ("False", "SystemsLeftOut"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn server_of_a_bmc_that_no_person_made_is_held_where_new_ones_are() {
    let taints = |holds_new, maker: Option<&str>| {
        let mut scene = Scene::new();
        scene.holds_new = holds_new;
        let label = maker.map(|maker| (annotation::MANAGED_BY.to_owned(), maker.to_owned()));
        let rack = ("rack".to_owned(), "r1".to_owned());
        scene.bmc.metadata.labels = Some(label.into_iter().chain([rack.clone()]).collect());
        scene.record();
        let server = scene.created().remove(0);
        assert_eq!(server.metadata.labels, Some([rack].into()), "it did not make the server");
        assert_eq!(server.spec.is_held(), !server.spec.taints.is_empty());
        server.spec.taints.into_iter().map(|taint| taint.key).collect::<Vec<_>>()
    };
    for maker in ["metal-operator", "netboot"] {
        assert_eq!(taints(true, Some(maker)), ["bloomery.dev/not-admitted"]);
        assert_eq!(taints(false, Some(maker)), [""; 0]);
    }
    assert_eq!(taints(true, None), [""; 0]);
    assert_eq!(taints(true, Some("helm")), [""; 0]);
}

#[test]
fn labels_by_which_a_tool_knows_what_it_has_applied_stay_where_they_are() {
    let of = |tool: &str| {
        let keys = [
            "app.kubernetes.io/instance",
            "argocd.argoproj.io/instance",
            "kustomize.toolkit.fluxcd.io/name",
            "velero.io/backup-name",
        ];
        keys.map(|key| (key.to_owned(), tool.to_owned()))
    };
    let rack = ("rack".to_owned(), "r1".to_owned());
    let mut scene = Scene::new();
    scene.bmc.metadata.labels = Some(of("bmcs").into_iter().chain([rack.clone()]).collect());
    scene.record();
    let mut server = scene.created().remove(0);
    assert_eq!(server.metadata.labels, Some([rack.clone()].into()));
    server.metadata.labels = Some(of("servers").into_iter().chain([rack]).collect());
    scene.servers = vec![Arc::new(server)];
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
}
