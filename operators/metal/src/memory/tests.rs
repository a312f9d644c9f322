use super::*;
use metal_api::ServerSpec;
use metal_core::redfish::{Credentials, PowerState, ResetType, Scheme, SystemReading};

fn destination(address: &str) -> Destination {
    let credentials = Credentials { username: "foo".to_owned(), password: "bar".to_owned() };
    let host = address.parse().unwrap();
    Destination { scheme: Scheme::Https, host, port: 443, credentials }
}

fn reading(at: Timestamp) -> Reading {
    let system = SystemReading {
        uri: "/redfish/v1/Systems/1".to_owned(),
        power: PowerState::Off,
        ..SystemReading::default()
    };
    Reading { at, took: SignedDuration::ZERO, result: Ok(system) }
}

#[test]
fn what_was_asked_before_a_step_says_nothing_after_it() {
    let (memories, bmc, uri) =
        (Memories::default(), destination("192.0.2.9"), "/redfish/v1/Systems/1");
    let done = Now::read();
    memories.edit("a", |memory| memory.act(Step::Reset(ResetType::On), done, true, None));
    for (millis, is_taken) in [(-5000, false), (0, false), (1, true)] {
        memories.found(&bmc, reading(done.wall + SignedDuration::from_millis(millis)));
        memories.adopt("a", &bmc, uri, done);
        assert_eq!(memories.of("a").reading.is_some(), is_taken, "{millis} ms");
    }
}

#[test]
fn what_was_read_of_a_bmc_goes_with_it() {
    let (memories, bmc) = (Memories::default(), destination("192.0.2.9"));
    memories.found(&bmc, reading(Timestamp::now()));
    memories.forget_found(&destination("192.0.2.10"));
    assert_eq!(locked(&memories.found).len(), 1);
    memories.forget_found(&bmc);
    assert!(locked(&memories.found).is_empty());
}

#[test]
fn what_was_done_to_one_machine_says_nothing_of_the_next_one_of_that_server() {
    let mut server = Server::new("a", ServerSpec::default());
    server.metadata.uid = Some("uid".to_owned());
    server.spec.system_uri = Some("/redfish/v1/Systems/1".to_owned());
    server.spec.system_uuid = Some("38947555-7742-3448-3784-823347823834".to_owned());
    let here = Machine::of(&server, &destination("192.0.2.9"));
    let changed = |edit: fn(&mut Server)| {
        let mut server = server.clone();
        edit(&mut server);
        Machine::of(&server, &destination("192.0.2.9"))
    };
    for (machine, is_known) in [
        (here.clone(), true),
        (Machine::of(&server, &destination("192.0.2.10")), false),
        (changed(|server| server.metadata.uid = Some("made again".to_owned())), false),
        (changed(|server| server.spec.system_uri = Some("/2".to_owned())), false),
        (changed(|server| server.spec.system_uuid = None), false),
        (changed(|server| server.metadata.labels = Some([].into())), true),
    ] {
        let (memories, now) = (Memories::default(), Now::read());
        memories.keep_to("a", &here);
        memories.edit("a", |memory| {
            memory.act(Step::Reset(ResetType::GracefulShutdown), now, true, None);
            memory.survey(Inventory::default(), Timestamp::UNIX_EPOCH);
            memory.read(destination("192.0.2.9"), reading(now.wall));
            memory.recorded = Some(now.wall);
        });
        assert!(memories.of("a").was_off);
        memories.keep_to("a", &machine);
        let memory = memories.of("a");
        assert_eq!(memory.was_off, is_known, "{machine:?}");
        assert_eq!(memory.last_step(now).is_some(), is_known, "{machine:?}");
        assert_eq!(memory.inventory.is_some(), is_known, "{machine:?}");
        assert_eq!(memory.reading.is_some(), is_known, "{machine:?}");
        assert!(memory.recorded.is_some(), "that is of the object");
    }
}

#[test]
fn a_pass_copies_nothing_that_is_remembered_and_a_destination_is_stored_once() {
    let (memories, now) = (Memories::default(), Timestamp::now());
    let media = || MediaReading { at: now, result: Ok(vec![]), no_url: None };
    memories.edit("a", |memory| {
        memory.read(destination("192.0.2.9"), reading(now));
        memory.read_media(destination("192.0.2.9"), media());
    });
    let seen = memories.of("a");
    assert!(Arc::ptr_eq(&seen, &memories.of("a")));
    let froms = seen.reading.as_ref().zip(seen.media.as_ref());
    assert!(froms.is_some_and(|((one, _), (other, _))| Arc::ptr_eq(one, other)));
    memories.edit("a", |memory| memory.read_media(destination("192.0.2.10"), media()));
    assert!(seen.media_of(&destination("192.0.2.9")).is_some(), "a pass sees what it saw");
    let (seen, other) = (memories.of("a"), destination("192.0.2.10"));
    assert!(seen.media_of(&other).is_some() && seen.reading_of(&other).is_none());
    memories.edit("a", Memory::forget_media);
    let seen = memories.of("a");
    assert!(seen.media_of(&other).is_none() && seen.reading.is_some());
}

#[test]
fn a_part_that_was_missing_is_read_again() {
    let minute = |minute| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute);
    let mut memory = Memory::default();
    memory.survey(Inventory::default(), minute(0));
    assert!(memory.inventory(minute(600)).is_some(), "nothing is missing");
    memory.forget_inventory();
    assert!(memory.inventory(minute(0)).is_none(), "nobody asks for it any more");

    let missing = vec!["/redfish/v1/Systems/1/Storage/1: HTTP 503".to_owned()];
    memory.survey(Inventory { missing, ..Inventory::default() }, minute(0));
    memory.forget_inventory();
    assert!(memory.inventory(minute(29)).is_some(), "not with every pass");
    assert!(memory.inventory(minute(30)).is_none());
}

fn now(wall: i64, boot: u64) -> Now {
    Now { wall: Timestamp::from_second(wall).unwrap(), boot: Duration::from_secs(boot) }
}

#[test]
fn a_new_term_counts_as_a_new_process() {
    let (memories, done) = (Memories::default(), Now::read());
    *locked(&memories.since) = now(1000, 0);
    memories.edit("a", |memory| memory.act(Step::Reset(ResetType::On), done, true, None));
    memories.begin_term();
    assert!(memories.of("a").last_step(done).is_none());
    assert!(memories.since(Now::read()) >= done.wall);
}

#[test]
fn setting_the_clock_moves_no_start() {
    let memories = Memories::default();
    *locked(&memories.since) = now(1000, 50);
    for (set, expected) in [(0, 1000), (3600, 4600), (-600, 400)] {
        let since = memories.since(now(1010 + set, 60));
        assert_eq!(since, Timestamp::from_second(expected).unwrap(), "{set}");
    }
    // The two clocks are not read at the same moment.
    let nearly = Now { boot: Duration::from_millis(60_400), ..now(1010, 60) };
    assert_eq!(memories.since(nearly), Timestamp::from_second(1000).unwrap());
}

#[test]
fn setting_the_clock_moves_no_deadline() {
    let ask = Step::Reset(ResetType::GracefulShutdown);
    for (set, expected) in [(0, 1000), (3600, 4600), (-600, 400)] {
        let mut memory = Memory::default();
        memory.act(ask.clone(), now(1000, 50), true, None);
        let later = now(1010 + set, 60);
        let last_step = memory.last_step(later).unwrap();
        assert_eq!(last_step.asked, Some(Timestamp::from_second(expected).unwrap()), "{set}");
        memory.act(ask.clone(), later, true, None);
        assert_eq!(memory.last_step(later).unwrap().asked, last_step.asked, "{set}");
    }
}

#[test]
fn a_host_that_was_on_and_is_to_be_off_is_not_known_to_be_after_one_reading_of_a_new_process() {
    let pending = serde_json::json!({"kind": "PowerOff", "since": "2026-01-01T00:00:00Z"});
    for (power, is_known) in [("Off", true), ("On", false)] {
        let mut server = Server::new("a", ServerSpec::default());
        let status = serde_json::json!({"powerState": power, "pending": pending});
        server.status = Some(serde_json::from_value(status).unwrap());
        let (now, mut memory) = (Now::read(), Memory::default());
        memory.recall_power(&server);
        memory.read(destination("192.0.2.9"), reading(now.wall));
        assert_eq!((memory.was_off, memory.off_for(now).is_none()), (is_known, is_known));
    }
}

#[test]
fn a_host_that_was_read_as_on_is_off_for_as_long_as_it_was_read_so_unless_it_was_told_to() {
    let (bmc, now) = (destination("192.0.2.9"), Now::read());
    let mut on = reading(now.wall);
    on.result.as_mut().unwrap().power = PowerState::On;
    for is_told in [false, true] {
        let mut memory = Memory::default();
        memory.read(bmc.clone(), on.clone());
        if is_told {
            memory.act(Step::Reset(ResetType::ForceOff), now, true, None);
        }
        assert_eq!(memory.off_for(now), None);
        memory.read(bmc.clone(), reading(now.wall));
        let later = Now { boot: clock::since_boot() + Duration::from_mins(1), ..now };
        let minute = SignedDuration::from_mins(1);
        assert_eq!(memory.off_for(later).is_some_and(|it| it >= minute), !is_told);
    }
}
