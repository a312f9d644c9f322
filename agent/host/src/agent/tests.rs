use super::*;
use clap::Parser;
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    thread,
};

#[tokio::test]
async fn a_release_that_the_disk_does_not_take_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let agent = agent(folder.path(), "http://127.0.0.1:1");
    let mut state = State::default();
    let sealed = crate::open::testing::seal(&agent.key, "org/web-1", b"plain");
    let [name, uid, image] = ["v1", "uid", "image"].map(str::to_owned);
    let wanted = Wanted { name, uid, image, configuration: Some(sealed) };
    // Nothing can be written beside the file.
    let file = agent.prepared.config(&described(&wanted));
    let beside = format!(".{}.new", file.file_name().unwrap().display());
    fs::create_dir(file.with_file_name(&beside)).unwrap();
    let error = agent.begin(&mut state, Some(wanted.clone())).await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot be written"), "{error:#}");
    assert_eq!(state, State::default(), "it has not failed");
    fs::remove_dir(file.with_file_name(beside)).unwrap();
    agent.begin(&mut state, Some(wanted.clone())).await.unwrap();
    assert!(state.work.is_some());
    // What cannot be decrypted never can.
    let mut state = State::default();
    let sealed = crate::open::testing::seal(&agent.key, "org/web-2", b"plain");
    let wanted = Wanted { configuration: Some(sealed), ..wanted };
    agent.begin(&mut state, Some(wanted)).await.unwrap();
    assert!(state.failed.unwrap().why.contains("not encrypted to the key of this host"));
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
    let agent = agent(folder.path(), &server);
    fs::create_dir(folder.path().join(".host.json.new")).unwrap();
    agent.register().await.unwrap();
    assert!(Config::read(&agent.args.config).unwrap().credential.is_some());
    fs::remove_dir(folder.path().join(".host.json.new")).unwrap();
    agent.register().await.unwrap();
    assert!(Config::read(&agent.args.config).unwrap().credential.is_none());
}

fn agent(folder: &Path, server: &str) -> Agent {
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
    ];
    Agent::new(Args::parse_from(args)).unwrap()
}
