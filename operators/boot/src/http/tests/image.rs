use super::*;
use crate::{
    blob_refs::blobs,
    config_ref::{ConfigRef, Kind},
    http::image::account_of,
    testing::{
        LOGIN, NAMESPACE,
        registry::{OCI_MANIFEST, TestRegistry},
    },
};
use metal_core::boot::url;
use metal_image::{Digest, manifest::UKI, store::Account};
use serde_json::{Value, json};

const KERNEL: &[u8] = b"a kernel, more or less";

#[tokio::test]
async fn a_layer_that_a_boot_config_names_is_served_whole_and_in_part() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("os", KERNEL).await;
    let image = registry.image("os");
    let (router, _cluster, _dir) = serving(&registry, &[&digest]).await.router();
    let layer = layer_path(&image, &digest.to_string());
    let uki = url::uki("http://x/httpboot", &image, &digest.to_string());
    let uki = uki.strip_prefix("http://x").unwrap().to_owned();
    let types = [
        (layer.clone(), "application/octet-stream"),
        (layer.replacen("&layer", ".efi&layer", 1), "application/octet-stream"),
        (uki.clone(), "application/efi"),
        (uki.strip_suffix(".efi").unwrap().to_owned(), "application/efi"),
    ];
    for (path, content_type) in types {
        let got = get(&router, &path).await;
        assert_eq!((got.status, got.body.as_bytes()), (200, KERNEL), "{path}");
        assert_eq!(got.header("content-type"), Some(content_type));
        let head = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let size = KERNEL.len().to_string();
        assert_eq!(head.header("content-length"), Some(size.as_str()));
        assert_eq!(head.header("accept-ranges"), Some("bytes"));
        assert_eq!(head.header("etag"), Some(format!("\"{digest}\"").as_str()));
    }
    for (range, status, body) in [
        ("bytes=2-7", 206, "kernel"),
        ("bytes=-4", 206, "less"),
        ("bytes=99-", 416, ""),
        ("bytes=7-2", 200, "a kernel, more or less"),
    ] {
        let got = ask(&router, Method::GET, &layer, &[("range", range)], "10.0.0.1").await;
        assert_eq!((got.status, got.body.as_str()), (status, body), "{range}");
    }
}

#[tokio::test]
async fn a_query_or_path_that_is_not_complete_is_not_found() {
    let digest = Digest::of(KERNEL).to_string();
    let dashed = digest.replace(':', "-");
    let encoded = digest.replace(':', "%3A");
    let name = "imageName=ghcr.io%2Fa";
    let traversal = "..%2F..%2F..%2Fother%2Frepo%2Fmanifests%2Flatest";
    let paths = [
        "/image".to_owned(),
        format!("/image?layerDigest={encoded}&version=1"),
        format!("/image?{name}&version=1"),
        format!("/image?{name}&layerDigest={encoded}"),
        format!("/image?{name}&layerDigest={encoded}&version="),
        format!("/image?{name}&layerDigest={traversal}&version=1"),
        format!("/image?{name}&layerName=kernel&version=1"),
        format!("/image?{name}&{name}&layerDigest=%zz&version=1"),
        format!("/image?imageName=GHCR%20x&layerDigest={encoded}&version=1"),
        "/httpboot/x".to_owned(),
        format!("/httpboot/{dashed}.efi"),
        "/httpboot/ghcr.io/a/sha256-00.efi".to_owned(),
        format!("/httpboot/ghcr.io/a/../b/{dashed}.efi"),
        "/httpboot/ghcr.io/a/uki.efi".to_owned(),
    ];
    let (router, _cluster, _dir) = TestServer::with(Objects::default()).await.router();
    for path in paths {
        assert_eq!(get(&router, &path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_registry_on_nobodys_list_is_forbidden() {
    let digest = Digest::of(KERNEL).to_string();
    let (router, _cluster, _dir) = TestServer::with(Objects::default()).await.router();
    let uki = format!("/httpboot/evil.example/a/{}.efi", digest.replace(':', "-"));
    for path in [layer_path("evil.example/a", &digest), uki] {
        let got = get(&router, &path).await;
        assert_eq!((got.status, got.body.as_str()), (403, "Forbidden: Registry not allowed\n"));
    }
}

#[tokio::test]
async fn a_blob_that_no_boot_config_names_is_not_even_asked_for() {
    let registry = TestRegistry::start().await;
    let (named, other) =
        (registry.push_blob("os", KERNEL).await, registry.push_blob("os", b"secret").await);
    let image = registry.image("os");
    let (router, _cluster, _dir) = serving(&registry, &[&named]).await.router();
    assert_eq!(get(&router, &layer_path(&image, &named.to_string())).await.status, 200);
    assert_eq!(get(&router, &layer_path(&image, &other.to_string())).await.status, 404);
    let elsewhere = layer_path(&registry.image("copy"), &named.to_string());
    assert_eq!(get(&router, &elsewhere).await.status, 404);
}

#[tokio::test]
async fn before_all_is_listed_a_blob_may_still_become_known() {
    let path = layer_path("ghcr.io/a", &Digest::of(KERNEL).to_string());
    let got = TestServer::starting().await.get(&path).await;
    assert_eq!((got.status, got.header("retry-after")), (503, Some("5")));
}

#[tokio::test]
async fn a_blob_that_the_registry_has_not_is_not_found_and_a_dead_registry_a_bad_gateway() {
    let registry = TestRegistry::start().await;
    let missing = Digest::of(b"never pushed");
    let path = layer_path(&registry.image("os"), &missing.to_string());
    let (router, _cluster, _dir) = serving(&registry, &[&missing]).await.router();
    assert_eq!(get(&router, &path).await.status, 404);
    let late = Digest::of(b"pushed too late");
    let (router, _cluster, _dir) = serving(&registry, &[&late]).await.router();
    let path = layer_path(&registry.image("os"), &late.to_string());
    drop(registry);
    let got = get(&router, &path).await;
    assert_eq!((got.status, got.body.as_str()), (502, "Registry detection failed\n"));
}

#[tokio::test]
async fn a_layer_that_nobody_gets_is_noted_for_the_boot_config_that_names_it() {
    let registry = TestRegistry::start().await;
    let missing = Digest::of(b"never pushed");
    let path = layer_path(&registry.image("os"), &missing.to_string());
    let server = serving(&registry, &[&missing]).await;
    let fetches = Arc::clone(&server.state.fetches);
    let config = ConfigRef::new(Kind::Ipxe, ("tenant".to_owned(), "claim".to_owned()));
    let blob = (registry.image("os").parse().unwrap(), missing);
    assert_eq!(fetches.missed(&config, std::slice::from_ref(&blob)), None);
    assert_eq!(server.get(&path).await.status, 404);
    let why = fetches.missed(&config, std::slice::from_ref(&blob)).unwrap();
    assert!(why.contains("has no blob sha256:"), "{why}");
    assert_eq!(fetches.missed(&config, &[]), None, "it names other layers by now");
    assert_eq!(fetches.queue.len(), 1);
}

#[tokio::test]
async fn a_private_layer_is_fetched_for_who_boots_it_and_then_needs_no_login() {
    let registry = TestRegistry::start_for(Some(LOGIN)).await;
    let named = registry.push_blob("os", KERNEL).await;
    let other = registry.push_blob("os", b"another kernel").await;
    let server = serving_with(&registry, &[&named], LOGIN.1).await;
    let cluster = server.cluster.clone();
    let (router, _cluster, _dir) = server.router();
    let [named, other] =
        [named, other].map(|it| layer_path(&registry.image("os"), &it.to_string()));
    assert_eq!(get(&router, &other).await.status, 404, "no boot config names it");
    let got = get(&router, &named).await;
    assert_eq!((got.status, got.body.as_bytes()), (200, KERNEL));
    cluster.go_down();
    drop(registry);
    assert_eq!(get(&router, &named).await.status, 200);
    assert_eq!(get(&router, &other).await.status, 404);
}

#[tokio::test]
async fn a_layer_that_the_registry_refuses_is_noted_with_the_secret_of_the_login() {
    let registry = TestRegistry::start_for(Some(LOGIN)).await;
    let digest = registry.push_blob("os", KERNEL).await;
    let path = layer_path(&registry.image("os"), &digest.to_string());
    let server = serving_with(&registry, &[&digest], "hunter2").await;
    let fetches = Arc::clone(&server.state.fetches);
    let got = server.get(&path).await;
    assert_eq!((got.status, got.body.as_str()), (401, "Authentication failed\n"));
    let config = ConfigRef::new(Kind::Ipxe, ("tenant".to_owned(), "claim".to_owned()));
    let blob = (registry.image("os").parse().unwrap(), digest);
    let why = fetches.missed(&config, std::slice::from_ref(&blob)).unwrap();
    assert!(why.ends_with("; the logins are those of Secret tenant/pull of --image-pull-secret"));
    assert!(why.contains("refuses the login") && !why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn the_default_image_is_resolved_named_and_served() {
    let registry = TestRegistry::start().await;
    registry.push_image("default", "1", OCI_MANIFEST, &[(UKI[0], b"the default")]).await;
    let mut server = serving(&registry, &[]).await;
    server.state.default_uki = DefaultUki::Image(registry.image("default:1"));
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::GET, "/httpboot", &[], "192.0.2.1").await;
    let body: Value = serde_json::from_str(&got.body).unwrap();
    let digest = Digest::of(b"the default").to_string();
    let uki = url::uki("http://boot:8083/httpboot", &registry.image("default"), &digest);
    assert_eq!(body, json!({"ClientIPs": "192.0.2.1", "UKIURL": uki}));
    let path = uki.strip_prefix("http://boot:8083").unwrap();
    assert_eq!(get(&router, path).await.body, "the default");
}

#[tokio::test]
async fn a_layer_is_fetched_on_the_account_of_the_namespace_that_boots_it() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("os", KERNEL).await;
    let blob = (registry.image("os").parse().unwrap(), digest.clone());
    let server = serving(&registry, &[&digest]).await;
    let state = &server.state;
    assert_eq!(account_of(state, &blob), Account::of("tenant"));
    let other = ConfigRef::new(Kind::Http, ("other".to_owned(), "claim".to_owned()));
    state.blob_refs.set(other, vec![blob.clone()]);
    assert_eq!(account_of(state, &blob), Account::of(&registry.image("os")));
    let unnamed = (blob.0.clone(), Digest::of(b"the default image"));
    assert_eq!(account_of(state, &unnamed), Account::default());
    // Another machine asks for it before it has arrived.
    let account = account_of(state, &blob);
    let mut fetching = Box::pin(state.store.open_for(&blob.0, &digest, &account));
    assert!(futures::poll!(&mut fetching).is_pending());
    assert!(state.store.holds(&digest));
    assert_eq!(account_of(state, &blob), account, "no other one joins, that has no limits");
    fetching.await.unwrap();
    let (router, _cluster, _dir) = server.router();
    let layer = layer_path(&registry.image("os"), &digest.to_string());
    assert_eq!(get(&router, &layer).await.status, 200);
}

/// A service for images of the registry, whose boot configs refer to these blobs of the image `os`.
async fn serving(registry: &TestRegistry, digests: &[&Digest]) -> TestServer {
    let mut server = TestServer::with(Objects::default()).await;
    server.state.images = resolver(&[registry.address.as_str()]);
    let image = registry.image("os");
    let urls: Vec<_> = digests
        .iter()
        .map(|d| url::layer("http://boot:8082", &image, &d.to_string(), "1"))
        .collect();
    let config = ConfigRef::new(Kind::Ipxe, ("tenant".to_owned(), "claim".to_owned()));
    server.state.blob_refs.set(config, blobs(urls.iter().map(String::as_str)));
    server
}

/// The same with a login for the registry.
async fn serving_with(registry: &TestRegistry, digests: &[&Digest], password: &str) -> TestServer {
    let mut server = serving(registry, digests).await;
    server.cluster.put_login("pull", &registry.address, password);
    let logins = RegistryLogins::of(server.cluster.client(), NAMESPACE, "pull");
    server.state.logins = Arc::new(logins);
    server
}

fn layer_path(image: &str, digest: &str) -> String {
    url::layer("http://x", image, digest, "1").strip_prefix("http://x").unwrap().to_owned()
}
