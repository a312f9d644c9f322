use super::*;
use crate::{
    fixture::{OURS, machine, served},
    metrics,
    operations::Access,
};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Node, NodeSpec, Pod},
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{core::DeserializeGuard, runtime::watcher::Event};
use metal_api::{MachineCloudInit, MachineConfigMapReference};
use metal_bmc::{Config, Fleet, Pin, Target};
use metal_core::redfish::Scheme;
use metal_machine::operations::CORDONED_FOR;
use metal_runtime::{
    controller::Pass, election::leadership::Leadership, report::Reporters, testing::list,
    work::Work,
};

fn controller(ctx: &Arc<Context>) -> Machines<Fleet> {
    with_fleet(ctx, Fleet::new(Config::default()))
}

fn with_fleet(ctx: &Arc<Context>, fleet: Fleet) -> Machines<Fleet> {
    let access = Access {
        namespace: "bmcs".to_owned(),
        plain_http: false,
        leadership: Leadership::default(),
    };
    let bmcs = Bmcs::new(fleet, &ctx.client, access);
    Machines::new(Arc::clone(ctx), bmcs, Limits::default())
}

#[tokio::test]
async fn a_node_takes_pods_again_when_its_machine_is_gone() {
    let there = machine("there", OURS, 1);
    let (server, ctx) = served([there]).await;
    for (name, is_released) in [("gone", true), ("there", false)] {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node.metadata.annotations = Some([(CORDONED_FOR.to_owned(), "uid".to_owned())].into());
        node.spec = Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() });
        server.put(&node);
        let machines = controller(&ctx);
        for _ in 0..3 {
            let node: Node = server.object(None, name).unwrap();
            let event = Ok(Event::Apply(DeserializeGuard(Ok(node))));
            ctx.view.nodes.follow(futures::stream::iter([event])).await.unwrap_err();
            machines.gone(&name.to_owned()).await.unwrap();
        }
        let node: Node = server.object(None, name).unwrap();
        let is_cordoned = node.spec.clone().unwrap_or_default().unschedulable == Some(true);
        assert_eq!((is_cordoned, is_cordoned_by_us(&node)), (!is_released, !is_released), "{name}");
    }
}

#[tokio::test]
async fn a_node_takes_pods_again_while_a_finalizer_holds_its_machine() {
    let mut going = machine("node-01", OURS, 1);
    going.metadata.uid = Some("uid".to_owned());
    going.metadata.finalizers = Some(vec!["example.com/backup".to_owned()]);
    going.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    let (server, ctx) = served([going]).await;
    list(&ctx.view.servers, []).await;
    let mut node = Node::default();
    node.metadata.name = Some("node-01".to_owned());
    node.metadata.annotations = Some([(CORDONED_FOR.to_owned(), "uid".to_owned())].into());
    node.spec = Some(NodeSpec { unschedulable: Some(true), ..NodeSpec::default() });
    server.put(&node);
    let node: Node = server.object(None, "node-01").unwrap();
    list(&ctx.view.nodes, [node]).await;
    let reporters = Reporters::new(ctx.recorder.clone(), &mut metrics::registry());
    let (machines, work) = (controller(&ctx), Work::new(reporters.of("machine")));
    for _ in 0..6 {
        Box::pin(machines.pass(&work, "node-01".to_owned())).await.unwrap();
        let machine: Machine = server.object(None, "node-01").unwrap();
        let event = Ok(Event::Apply(DeserializeGuard(Ok(machine))));
        ctx.view.machines.follow(futures::stream::iter([event])).await.unwrap_err();
    }
    let node: Node = server.object(None, "node-01").unwrap();
    assert!(!is_cordoned_by_us(&node), "{node:?}");
    assert_eq!(node.spec.unwrap_or_default().unschedulable, None);
}

#[tokio::test]
async fn evictions_that_hang_leave_the_other_passes_to_other_machines() {
    let (server, ctx) = served([machine("node-01", OURS, 1)]).await;
    let mut pod = Pod::default();
    pod.metadata.name = Some("web".to_owned());
    pod.metadata.namespace = Some("tenant".to_owned());
    server.put(&pod);
    let machines = controller(&ctx);
    let all = u32::try_from(DRAINS).unwrap();
    let hanging = machines.drains.try_acquire_many(all).unwrap();
    let next = machines.evict("node-01").await.unwrap();
    assert_eq!(next, Next::After(DRAINING));
    assert!(server.written().is_empty(), "it waits for its turn elsewhere");
    drop(hanging);
    machines.evict("node-01").await.unwrap();
    assert_eq!(server.written().len(), 1);
}

#[tokio::test]
async fn a_former_bmc_is_left_unless_another_machine_has_it() {
    let at = |name: &str, last: u8, bmc: u8| {
        let mut machine = machine(name, [10, 77, 0, last].into(), last);
        let url = format!("https://192.0.2.{bmc}");
        let redfish = MachineRedfish { url, ..MachineRedfish::default() };
        machine.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
        machine
    };
    for (other, is_kept) in [(2, false), (1, true)] {
        let (_server, ctx) = served([at("a", 1, 1), at("b", 2, other)]).await;
        let fleet = Fleet::new(Config::default());
        let machines = with_fleet(&ctx, fleet.clone());
        let target =
            Target { scheme: Scheme::Https, host: "192.0.2.1".parse().unwrap(), port: 443 };
        let pin = format!("sha256:{}", "ab".repeat(32)).parse::<Pin>().unwrap();
        fleet.set_pin(&target, Some(pin));
        for (bmc, is_there) in [(1, true), (1, true), (3, is_kept)] {
            machines.observe(&Arc::new(at("a", 1, bmc))).await.unwrap();
            assert_eq!(fleet.pin(&target).is_some(), is_there, "{other} {bmc}");
        }
    }
}

#[tokio::test]
async fn user_data_that_was_missing_is_said_to_be_there_when_it_is() {
    let mut machine = machine("node-01", OURS, 1);
    let reference = MachineConfigMapReference {
        name: "mine".to_owned(),
        namespace: "default".to_owned(),
        key: None,
    };
    machine.spec.pxe.as_mut().unwrap().cloud_init =
        Some(MachineCloudInit { user_data_config_map_ref: Some(reference) });
    let wrong = user_data::InvalidUserData::KeyMissing {
        name: "mine".to_owned(),
        namespace: "default".to_owned(),
        key: "user-data".to_owned(),
    };
    machine.status = user_data::with_condition(&machine, Some(&wrong), Timestamp::now());
    let it = looked_at(machine).await;
    assert_eq!(it.status, "True", "{it:?}");
}

#[tokio::test]
async fn user_data_that_did_not_go_with_the_image_is_said_to_be_so_only_while_it_is_named() {
    let wrong = user_data::InvalidUserData::ExpectedList { key: "runcmd".to_owned() };
    let named = |namespace: &str, key: &str| MachineConfigMapReference {
        name: "mine".to_owned(),
        namespace: namespace.to_owned(),
        key: Some(key.to_owned()),
    };
    for (reference, status, reason) in [
        (None, "True", "Found"),
        (Some(named("default", "other")), "False", "KeyMissing"),
        (Some(named("kube-system", "user-data")), "False", "NamespaceNotAllowed"),
        // Whether it goes with the image now is seen when the machine asks.
        (Some(named("default", "user-data")), "False", "NotAList"),
    ] {
        let mut machine = machine("node-01", OURS, 1);
        machine.spec.pxe.as_mut().unwrap().cloud_init =
            Some(MachineCloudInit { user_data_config_map_ref: reference });
        machine.status = user_data::with_condition(&machine, Some(&wrong), Timestamp::now());
        let it = looked_at(machine).await;
        assert_eq!((it.status.as_str(), it.reason.as_str()), (status, reason), "{it:?}");
    }
}

/// What some passes say about the user-data of a Machine, while there is a ConfigMap `mine`.
async fn looked_at(mut machine: Machine) -> Condition {
    let (server, ctx) = served([machine.clone()]).await;
    let mut map = ConfigMap::default();
    map.metadata.name = Some("mine".to_owned());
    map.metadata.namespace = Some("default".to_owned());
    map.data = Some([("user-data".to_owned(), "#!/bin/sh\n".to_owned())].into());
    server.put(&map);
    let machines = controller(&ctx);
    for _ in 0..4 {
        let seen = Arc::new(machine.clone());
        let facts = machines.observe(&seen).await.unwrap();
        if let Decision::Record(status) = machines.decide(&seen, &facts, None) {
            machine.status = Some(*status);
        }
    }
    let mut conditions = machine.status.unwrap().conditions.into_iter();
    conditions.find(|it| it.type_ == condition::USER_DATA_READY).unwrap()
}
