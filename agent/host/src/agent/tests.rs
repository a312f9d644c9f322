use super::*;
use crate::{client::Answer, plan::HookResult};
use clap::Parser;
use metal_base::testing::script;
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
};

#[tokio::test]
async fn a_release_that_the_disk_does_not_take_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), "http://127.0.0.1:1").await;
    let mut state = State::default();
    let sealed = crate::decrypt::testing::seal(&agent.key, "org/web-1", b"plain");
    let [name, uid, image] = ["v1", "uid", "image"].map(str::to_owned);
    let wanted = Wanted { name, uid, image, configuration: Some(sealed) };
    // Nothing can be written beside the file.
    let file = agent.prepared.config(&described(&wanted));
    let beside = format!(".{}.new", file.file_name().unwrap().display());
    fs::create_dir(file.with_file_name(&beside)).unwrap();
    let error = agent.begin(&mut state, Some(wanted.clone())).await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot be decrypted and written"), "{error:#}");
    assert_eq!(state, State::default(), "it has not failed");
    fs::remove_dir(file.with_file_name(beside)).unwrap();
    agent.begin(&mut state, Some(wanted.clone())).await.unwrap();
    assert!(state.work.is_some());
    // What cannot be decrypted never can.
    let mut state = State::default();
    let sealed = crate::decrypt::testing::seal(&agent.key, "org/web-2", b"plain");
    let wanted = Wanted { configuration: Some(sealed), ..wanted };
    agent.begin(&mut state, Some(wanted)).await.unwrap();
    assert!(state.failed.unwrap().why.contains("not encrypted to the key of this host"));
}

#[tokio::test]
async fn a_second_agent_does_not_run_with_the_state_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = agent(folder.path(), "http://127.0.0.1:1").await;
    let error = Agent::new(first.args.clone()).await.unwrap_err();
    assert!(format!("{error:#}").ends_with("another metal-host runs with it"), "{error:#}");
}

#[tokio::test]
async fn a_host_whose_server_is_away_asks_for_nothing_that_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), "http://127.0.0.1:1").await;
    let (mut state, mut known) = (State::default(), Some(Known::default()));
    agent.turn(&mut state, &mut known).await.unwrap_err();
    assert!(known.is_some(), "the next one answers when it is to run another release");
    // What could not be recorded it is told again.
    fs::create_dir(folder.path().join("state/.state.json.new")).unwrap();
    state.begin(Release::default());
    agent.turn(&mut state, &mut known).await.unwrap_err();
    assert!(known.is_none());
}

#[tokio::test]
async fn a_host_that_knows_its_release_asks_for_news_alone() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 16_384];
            let read = stream.read(&mut asked).unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
            let (status, body) = if asked.contains("release=v1&uid=uid&wait=50&brief=true") {
                ("204 No Content", "")
            } else {
                // An older server knows no other answer.
                ("200 OK", r#"{"nonce":"1","release":{"name":"v2","image":"image"}}"#)
            };
            let head = format!("HTTP/1.1 {status}\r\nconnection: close");
            let length = body.len();
            write!(stream, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").ok();
        }
    });
    let agent = agent(folder.path(), &server).await;
    let [name, uid, image] = ["v1", "uid", "image"].map(str::to_owned);
    let known = Known(Some(Wanted { name, uid, image, configuration: None }));
    let told = agent.server.release(&agent.key, Some(&known)).await.unwrap();
    assert!(matches!(told, Answer::Same), "{told:?}");
    for known in [None, Some(Known::default())] {
        let told = agent.server.release(&agent.key, known.as_ref()).await.unwrap();
        assert!(matches!(&told, Answer::Release(Some(it)) if it.name == "v2"), "{told:?}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_remove_its_credential_is_registered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    // A number to sign, and yes to everything.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 16_384]).is_ok_and(|read| read == 0) {
                continue;
            }
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 13";
            stream.write_all(format!("{head}\r\n\r\n{{\"nonce\":\"1\"}}").as_bytes()).ok();
        }
    });
    let agent = agent(folder.path(), &server).await;
    fs::create_dir(folder.path().join(".host.json.new")).unwrap();
    agent.register().await.unwrap();
    assert!(Config::read(&agent.args.config).unwrap().credential.is_some());
    fs::remove_dir(folder.path().join(".host.json.new")).unwrap();
    agent.register().await.unwrap();
    assert!(Config::read(&agent.args.config).unwrap().credential.is_none());
}

#[tokio::test]
async fn what_runs_before_the_first_release_is_reported_and_comes_back_after_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("image");
    script(&program, "echo quay.io/example/base@sha256:1").unwrap();
    let mut agent = agent(folder.path(), "http://127.0.0.1:1").await;
    agent.args.image_command = Some(program.clone());
    let mut state = State::default();
    agent.find_installed(&mut state).await;
    assert_eq!(agent.told(&state), json!({ "image": "quay.io/example/base@sha256:1" }));
    let read = State::read(&agent.args.state_dir.join("state.json")).unwrap();
    assert_eq!(read, state, "it is recorded before anything is begun");
    let v1 = Release { name: "v1".to_owned(), ..Release::default() };
    state.begin(v1);
    state.fails("not healthy", &agent.boot);
    state.healthy(&agent.boot);
    let told = agent.told(&state);
    assert_eq!(told["image"], "quay.io/example/base@sha256:1");
    assert_eq!((&told["result"], &told["release"]), (&json!("RolledBack"), &Value::Null));
    // After a release it is not asked again, and where nobody knows, nothing is said.
    fs::remove_file(&program).unwrap();
    let before = state.clone();
    agent.find_installed(&mut state).await;
    assert_eq!(state, before);
    let mut state = State::default();
    agent.find_installed(&mut state).await;
    assert_eq!((&state.active, agent.told(&state)), (&None, json!({})));
}

#[tokio::test]
async fn a_release_that_cuts_the_machine_off_is_not_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = agent(folder.path(), "http://127.0.0.1:1").await;
    agent.args.server_timeout = Duration::from_millis(200);
    let error = agent.is_healthy(true).await.unwrap_err();
    assert_eq!(error.to_string(), "the server was not reached within 200ms");
    // One that ran before is not judged by whether the server is there.
    agent.is_healthy(false).await.unwrap();
    agent.args.server_timeout = Duration::ZERO;
    agent.is_healthy(true).await.unwrap();
    // Any answer is a way to it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 4096]).is_ok_and(|read| read == 0) {
                continue;
            }
            let answer = b"HTTP/1.1 503 Later\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).ok();
        }
    });
    let other = tempfile::tempdir().unwrap();
    agent = self::agent(other.path(), &server).await;
    agent.args.server_timeout = Duration::from_mins(1);
    agent.is_healthy(true).await.unwrap();
}

#[tokio::test]
async fn the_health_of_a_release_that_is_late_is_looked_at_from_time_to_time() {
    let folder = tempfile::tempdir().unwrap();
    let (program, looks) = (folder.path().join("healthy"), folder.path().join("looks"));
    script(&program, &format!("echo >> {0}; [ $(wc -l < {0}) -ge 2 ]", looks.display())).unwrap();
    let mut agent = agent(folder.path(), "http://127.0.0.1:1").await;
    agent.args.health_command = Some(program);
    let v1 = Release { name: "v1".to_owned(), image: "image".to_owned(), ..Release::default() };
    let mut state = State { active: Some(v1), ..State::default() };
    state.confirm();
    state.hooked(HookResult::Done, &agent.boot);
    state.fails("ill", &agent.boot);
    let told = agent.told(&state);
    assert_eq!((&told["result"], &told["release"]), (&json!("Failed"), &json!("v1")), "it runs");
    for _ in 0..3 {
        agent.look_again(&mut state).await.unwrap();
    }
    assert_eq!(fs::read_to_string(&looks).unwrap().lines().count(), 1, "not all the time");
    assert!(state.is_lost);
    agent.args.recheck = Duration::ZERO;
    agent.look_again(&mut state).await.unwrap();
    assert_eq!((state.is_lost, &state.failed), (false, &None));
    assert_eq!(agent.told(&state)["result"], "Active");
}

async fn agent(folder: &Path, server: &str) -> Agent {
    let path = |name: &str| folder.join(name).display().to_string();
    let config = json!({
        "server": server, "namespace": "org", "host": "web-1", "credential": "credential",
    });
    fs::write(path("host.json"), config.to_string()).unwrap();
    fs::write(path("boot_id"), "boot-1").unwrap();
    let args = [
        "metal-host".to_owned(),
        format!("--config={}", path("host.json")),
        format!("--state-dir={}", path("state")),
        format!("--boot-id={}", path("boot_id")),
        "--key=file".to_owned(),
    ];
    Agent::new(Args::parse_from(args)).await.unwrap()
}
