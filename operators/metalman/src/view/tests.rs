use super::*;
use crate::fixture::{OURS, cluster, machine};
use kube::{core::DeserializeGuard, runtime::watcher::Event};
use metal_api::MachineRedfish;
use std::{sync::Mutex, time::Duration};
use tokio::time::timeout;

/// Who gets a turn.
async fn woken(queue: &Queue<String>) -> Vec<String> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let told = Arc::clone(&seen);
    let run = queue.clone().run(1, move |key| {
        told.lock().unwrap().insert(key);
        async { None }
    });
    timeout(Duration::from_secs(1), run).await.unwrap_err();
    let seen = seen.lock().unwrap();
    seen.iter().cloned().collect()
}

fn at(name: &str, last: u8, device_id: &str) -> Machine {
    let mut machine = machine(name, [10, 77, 0, last].into(), last);
    machine.metadata.uid = Some(name.to_owned());
    let redfish = MachineRedfish {
        url: "https://192.0.2.9".to_owned(),
        device_id: Some(device_id.to_owned()),
        ..MachineRedfish::default()
    };
    machine.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
    machine
}

#[tokio::test]
async fn a_machine_of_another_site_with_the_same_hardware_is_seen() {
    let ours = at("a", 1, "1");
    let ctx = cluster([ours.clone()]).await;
    let mut others = [at("b", 2, ""), at("c", 3, "1"), at("d", 4, "2"), machine("e", OURS, 1)];
    others[3].metadata.uid = Some("e".to_owned());
    let events = [Event::Init]
        .into_iter()
        .chain(
            [ours.clone()]
                .into_iter()
                .chain(others)
                .map(|it| Event::InitApply(DeserializeGuard(Ok(it)))),
        )
        .chain([Event::InitDone]);
    let events = events.map(Ok).collect::<Vec<_>>();
    ctx.view.everywhere.follow(futures::stream::iter(events)).await.unwrap_err();
    assert_eq!(ctx.view.sharing(&ours), ["b", "c"]);
    let twins = ctx.view.twins(&ours);
    let twins: Vec<_> = twins.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(twins, ["e"], "by its MAC address");
    assert!(ctx.view.machine_with("02:00:00:00:00:01".parse().unwrap()).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_a_bmc_is_woken_by_a_server_of_the_uuid_that_firmware_told() {
    let uuid = "33221100-5544-7766-8899-010203040506";
    let mut ours = machine("a", OURS, 1);
    ours.metadata.uid = Some("a".to_owned());
    ours.status.get_or_insert_default().system_uuid = Some(uuid.to_owned());
    let ctx = cluster([ours.clone()]).await;
    let mut server = Server::new("s", metal_api::ServerSpec::default());
    server.spec.system_uuid = Some(uuid.to_owned());
    let (queue, view) = (Queue::default(), &ctx.view);
    let wake = |change: Change<'_, Server>| view.wake_machines(&change, &queue);
    let event = Ok(Event::Apply(DeserializeGuard(Ok(server))));
    view.servers.follow_with(futures::stream::iter([event]), wake).await.unwrap_err();
    assert_eq!(woken(&queue).await, ["a"]);
    let twins = view.servers_like(&ours);
    assert_eq!(twins.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["Server s"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_goes_on_at_once_when_the_other_gives_up_its_system() {
    let (ours, other) = (at("a", 1, "1"), at("b", 2, "1"));
    let ctx = cluster([ours.clone(), other.clone()]).await;
    let queue = Queue::default();
    let moved = at("b", 2, "2");
    let event = Ok(Event::Apply(DeserializeGuard(Ok(moved))));
    let view = &ctx.view;
    let wake = |change: Change<'_, Machine>| view.wake_like(&change, &queue);
    let events = futures::stream::iter([event]);
    view.everywhere.follow_with(events, wake).await.unwrap_err();
    assert!(view.sharing(&ours).is_empty());
    assert_eq!(woken(&queue).await, ["a", "b"]);
    let gone = Ok(Event::Delete(DeserializeGuard(Ok(other))));
    let wake = |change: Change<'_, Machine>| view.wake_like(&change, &queue);
    view.everywhere.follow_with(futures::stream::iter([gone]), wake).await.unwrap_err();
    assert_eq!(woken(&queue).await, ["a"]);
}
