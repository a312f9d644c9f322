use super::*;
use crate::fixture::{
    FIRECRACKER, Tree,
    server::{Answer, Server},
};
use clap::Parser;
use std::path::Path;
use tokio::select;

const SOON: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_failed_report_is_repeated_until_the_registry_takes_it() {
    let tree = Tree::unpack(FIRECRACKER);
    let mut server =
        Server::start([Answer::Hangup, Answer::Status(503), Answer::Status(403)]).await;
    let agent = agent(&tree, &server.url("/t/secret"));
    select! {
        never = agent.run() => match never {},
        () = async {
            for _ in 0..3 {
                let request = server.request().await;
                assert_eq!(request.line, "POST /t/secret/register HTTP/1.1");
                assert_eq!(request.registration().system_uuid, "The-UUID");
            }
        } => {}
    }
}

#[tokio::test]
async fn each_repeated_report_has_a_fresh_timestamp() {
    let tree = Tree::unpack(FIRECRACKER);
    let mut server = Server::start([]).await;
    let agent = agent(&tree, &server.url(""));
    let times = async {
        let mut times: Vec<Timestamp> = Vec::new();
        for _ in 0..3 {
            times.push(server.request().await.registration().data.timestamp.parse().unwrap());
        }
        times
    };
    select! {
        never = agent.run() => match never {},
        times = times => assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}"),
    }
}

#[tokio::test]
async fn what_changes_on_the_machine_is_in_the_next_report() {
    let tree = Tree::unpack(FIRECRACKER);
    let mut server = Server::start([]).await;
    let agent = agent(&tree, &server.url(""));
    let carrier = async {
        assert_eq!(carrier_of_eth0(&server.request().await.registration()), "up");
        tree.write("/sys/class/net/eth0/carrier", b"0\n");
        while carrier_of_eth0(&server.request().await.registration()) == "up" {}
    };
    select! {
        never = agent.run() => match never {},
        () = carrier => {}
    }
}

#[test]
fn a_registry_that_cannot_be_used_is_told_with_the_flag_to_set() {
    let table = [
        ("ftp://h/t/secret", "--registry-url must have the form"),
        ("https://h/t/secret", "--registry-ca-file must be a PEM file"),
    ];
    for (url, text) in table {
        let url = format!("--registry-url={url}");
        let flags = ["metalprobe", &url, "--server-uuid=a", "--registry-ca-file=/nowhere"];
        let error = Agent::new(Args::parse_from(flags)).unwrap_err().to_string();
        assert!(error.starts_with(text) && !error.contains("secret"), "{error}");
    }
}

fn carrier_of_eth0(registration: &Registration) -> &str {
    let interfaces = &registration.data.network_interfaces;
    &interfaces.iter().find(|interface| interface.name == "eth0").unwrap().carrier_status
}

fn agent(tree: &Tree, url: &str) -> Agent {
    let deadline = Duration::from_mins(1);
    Agent {
        server_uuid: "The-UUID".into(),
        machine: Arc::new(tree.machine()),
        client: Client::new(url.parse().unwrap(), Path::new("/nowhere"), deadline).unwrap(),
        backoff: Backoff::new(SOON, LONGEST),
        repeat: SOON,
        lldp_interval: SOON,
        lldp_duration: SOON,
        lldp: Lldp::Ignore,
    }
}
