use super::*;
use clap::Parser;
use http::{Method, Request, Response};
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use metal_api::{BootBinding, HostSpec};
use metal_runtime::testing::ApiServer;
use serde_json::{Value, json};
use std::convert::Infallible;

/// Namespaced objects of an API server that refuses these requests.
fn refusing(server: &ApiServer, refused: &'static [Method]) -> Api<BootToken> {
    let inner = server.client("org");
    let service = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            if !refused.contains(request.method()) {
                return Ok::<_, Infallible>(inner.send(request).await.unwrap());
            }
            let status =
                json!({ "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403 });
            let answer = Response::builder().status(403);
            Ok(answer.body(Body::from(status.to_string().into_bytes())).unwrap())
        }
    });
    Api::namespaced(Client::new(service, "org"), "org")
}

#[tokio::test]
async fn a_token_that_could_not_be_finished_is_not_left_open() {
    let spec = BootTokenSpec { ttl: "1h".to_owned(), ..BootTokenSpec::default() };
    let token = BootToken::new("web-1-a", spec);
    let opened = async |refused: &'static [Method]| {
        let server = ApiServer::default();
        let opened = open_token(&refusing(&server, refused), &token).await;
        let is_left = server.object::<BootToken>(Some("org"), "web-1-a").is_some();
        (opened.map_err(|error| format!("{error:#}")), is_left)
    };
    assert_eq!(opened(&[]).await, (Ok(()), true));
    let (error, is_left) = opened(&[Method::PATCH]).await;
    assert!(error.unwrap_err().starts_with("spec.notAfter was not written: ") && !is_left);
    let (error, is_left) = opened(&[Method::PATCH, Method::DELETE]).await;
    assert!(error.unwrap_err().contains("nobody has its URL: delete it") && is_left);
    assert!(opened(&[Method::POST]).await.0.is_err());
}

#[tokio::test]
async fn what_the_api_server_refuses_is_said_in_its_words_and_not_as_a_structure() {
    let server = ApiServer::default();
    let client = refusing(&server, &[Method::GET]).into_client();
    let said = doubts(&client, "org", "a").await;
    assert!(said[0].starts_with("whether others are open is not known: "), "{said:?}");
    assert!(!said.iter().any(|it| it.contains('{') || it.contains("ApiError")), "{said:?}");
}

#[tokio::test]
async fn a_token_is_not_left_open_where_the_cluster_does_not_know_what_it_is_bound_to() {
    let server = ApiServer::default();
    let inner = server.client("org");
    let service = tower::service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let mut sent: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(spec) = sent.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("binding");
            }
            let sent = Request::from_parts(head, Body::from(sent.to_string().into_bytes()));
            Ok::<_, Infallible>(inner.send(sent).await.unwrap())
        }
    });
    let api = Api::namespaced(Client::new(service, "org"), "org");
    let binding =
        BootBinding { mac_address: Some("02:00:00:00:00:01".to_owned()), ..BootBinding::default() };
    let (ttl, binding) = ("1h".to_owned(), Some(binding));
    let token =
        BootToken::new("web-1-a", BootTokenSpec { ttl, binding, ..BootTokenSpec::default() });
    let error = open_token(&api, &token).await.unwrap_err().to_string();
    assert!(error.contains("does not know spec.binding.macAddress"), "{error}");
    assert!(server.object::<BootToken>(Some("org"), "web-1-a").is_none());
}

#[tokio::test]
async fn that_a_host_is_there_or_has_another_token_is_said_of_a_token_for_it() {
    let server = ApiServer::default();
    let (host_name, ttl) = ("web-2".to_owned(), "1h".to_owned());
    let mut other =
        BootToken::new("web-2-a", BootTokenSpec { host_name, ttl, ..BootTokenSpec::default() });
    other.metadata.namespace = Some("org".to_owned());
    other.metadata.creation_timestamp = Some(Time(Timestamp::now()));
    server.put(&other);
    let client = server.client("org");
    assert_eq!(doubts(&client, "org", "web-1").await, Vec::<String>::new());
    let said = doubts(&client, "org", "web-2").await;
    assert!(said.len() == 1 && said[0].ends_with("can become it: web-2-a"), "{said:?}");
    let mut host = Host::new("web-1", HostSpec::default());
    host.metadata.namespace = Some("org".to_owned());
    server.put(&host);
    let said = doubts(&client, "org", "web-1").await;
    assert!(said.len() == 1 && said[0].ends_with("hosts delete org/web-1"), "{said:?}");
}

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    install: InstallArgs,
}

fn parsed(said: &[&str]) -> Result<InstallArgs, String> {
    let image = format!("--image=127.0.0.1:1/a/b@sha256:{}", "a".repeat(64));
    let words = ["create", &image, "--server=https://hosts.example.org"];
    let parsed = Cli::try_parse_from(words.iter().chain(said));
    parsed.map(|cli| cli.install).map_err(|error| error.to_string())
}

#[test]
fn what_the_api_server_would_refuse_is_refused_with_the_name_of_the_flag() {
    let long = "a".repeat(300);
    for (flag, value) in [
        ("--ek-hash", "zz"),
        ("--ek-hash", "a"),
        ("--mac", "02:00"),
        ("--uuid", "x"),
        ("--uuid", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("--serial", long.as_str()),
        ("--ttl", "4m"),
        ("--ttl", "169h"),
        ("--ttl", "1.5h"),
        ("--template", "A"),
        ("--pull-secret", "org/login"),
        ("--disk-serial", " a"),
        ("--disk-serial", "a\"b"),
        ("--disk-wwn", "0x 1"),
        ("--disk-min-size", "0"),
        ("--disk-max-size", "9999999"),
        ("--disk-rotational", "maybe"),
        ("--installer-kernel-url", "ftp://mirror/vmlinuz"),
        ("--installer-argument", "a b"),
    ] {
        let error = parsed(&[&format!("{flag}={value}")]).unwrap_err();
        assert!(error.contains(&format!("'{flag}")) && error.contains("invalid value"), "{error}");
    }
    let placeholder = parsed(&["--serial=To be filled by O.E.M."]).unwrap();
    let error = placeholder.binding.binding().unwrap_err().to_string();
    assert!(error.contains("--serial"), "{error}");
    let none = parsed(&["--disk-min-size=200", "--disk-max-size=100"]).unwrap();
    assert!(none.disk.disk().unwrap_err().to_string().contains("--disk-max-size"));
}

#[test]
fn a_server_that_no_url_of_a_token_could_lead_to_is_refused() {
    let mut install = parsed(&[]).unwrap();
    for (server, base) in [
        ("https://hosts.example.org/", Some("https://hosts.example.org")),
        ("http://10.0.0.1:8444", Some("http://10.0.0.1:8444")),
        ("hosts.example.org", None),
        ("https://", None),
        ("https://hosts.example.org?a=b", None),
        ("https://hosts.example.org/$x", None),
    ] {
        install.server = server.to_owned();
        assert_eq!(install.server().ok(), base, "{server}");
    }
}

#[tokio::test]
async fn all_that_a_token_may_say_can_be_said_with_flags() {
    let said = [
        "--disk-serial=S 1",
        "--disk-wwn=naa.5000c500a",
        "--disk-min-size=100",
        "--disk-max-size=200",
        "--disk-rotational",
        "--mac=02-00-00-00-00-01",
        "--installer-kernel-url=http://mirror/vmlinuz",
        "--installer-initrd-url=http://mirror/initrd",
        "--installer-stage2-url=http://mirror/os/",
        "--installer-argument=console=ttyS0",
        "--installer-argument=--x",
        "--template=mine",
        "--ttl=1h",
    ];
    let spec = parsed(&said).unwrap().spec("web-1").await.unwrap();
    let expected = json!({
        "tokenSHA256": "",
        "hostName": "web-1",
        "ttl": "1h",
        "image": format!("127.0.0.1:1/a/b@sha256:{}", "a".repeat(64)),
        "template": "mine",
        "targetDisk": {
            "serial": "S 1", "wwn": "naa.5000c500a", "minSizeGiB": 100, "maxSizeGiB": 200,
            "rotational": true,
        },
        "binding": { "macAddress": "02:00:00:00:00:01" },
        "installer": {
            "kernelURL": "http://mirror/vmlinuz", "initrdURL": "http://mirror/initrd",
            "stage2URL": "http://mirror/os/", "arguments": ["console=ttyS0", "--x"],
        },
    });
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
    let image = format!("127.0.0.1:1/a/i@sha256:{}", "b".repeat(64));
    let installer = format!("--installer-image={image}");
    let said = [installer.as_str(), "--disk-rotational=false"];
    let spec = parsed(&said).unwrap().spec("web-1").await.unwrap();
    assert_eq!(spec.installer.unwrap().image, Some(image.clone()));
    assert_eq!(spec.target_disk.unwrap().rotational, Some(false));
    for bad in [
        &["--installer-kernel-url=http://mirror/vmlinuz"][..],
        &["--installer-initrd-url=http://mirror/initrd"],
        &["--installer-stage2-url=http://mirror/os/"],
        &["--disk-image", "--template=a"],
        &["--disk-image", "--installer-kernel-url=http://m/k", "--installer-initrd-url=http://m/i"],
        &[said[0], "--installer-kernel-url=http://m/k", "--installer-initrd-url=http://m/i"],
    ] {
        assert!(parsed(bad).is_err(), "{bad:?}");
    }
    let both = parsed(&["--disk-image", said[0], "--installer-argument=a"]).unwrap();
    let installer = both.spec("web-1").await.unwrap().installer.unwrap();
    assert!(installer.writes_disk_image() && installer.image == Some(image));
    let whose = parsed(&["--installer-argument=a"]).unwrap().spec("web-1").await.unwrap_err();
    assert!(whose.to_string().contains("--installer-image"), "{whose}");
}
