//! Rules that metal-image keeps towards registries, and what oci-client 0.18 does instead.
//!
//! Each test asserts both. One that fails because oci-client has learned to keep its rule is good
//! news: the module documentation of `metal_image::registry` says what to take from it then.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bloomery_oci_client::{Registry, SeenRequest, long};
use bytes::Bytes;
use metal_image::{
    Digest, Name, Reference, Registries, Version,
    manifest::Manifest,
    registry::{Config, Document, Error},
};
use oci_client::{
    Client, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    manifest::{OciDescriptor, OciManifest},
    secrets::RegistryAuth,
    token_cache::RegistryToken,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// More than the peer of a closed connection may have taken into its buffers.
const LONG: usize = 96 << 20;
const MOST: usize = 48 << 20;
/// Where clouds keep passwords of machines.
const METADATA: &str = "http://169.254.169.254/latest/meta-data";

#[tokio::test]
async fn a_manifest_has_a_bound() {
    let endless = |sent: &Arc<AtomicUsize>| {
        let sent = Arc::clone(sent);
        // They ask for nothing in particular first.
        Registry::start(move |seen| match seen.uri.contains("/manifests/") {
            true => long(LONG, &sent).into_response(),
            false => StatusCode::OK.into_response(),
        })
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let registry = endless(&sent).await;
    let error = ours().manifest(&name(&registry), &tag()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    assert!(sent.load(Ordering::Relaxed) < MOST);

    let sent = Arc::new(AtomicUsize::new(0));
    let registry = endless(&sent).await;
    theirs(None).pull_manifest(&reference(&registry), &RegistryAuth::Anonymous).await.unwrap_err();
    assert_eq!(sent.load(Ordering::Relaxed), LONG, "all of it was taken");
}

#[tokio::test]
async fn an_answer_of_a_token_service_has_a_bound() {
    let service = |sent: &Arc<AtomicUsize>| {
        let sent = Arc::clone(sent);
        Registry::start(move |_| long(LONG, &sent).into_response())
    };
    let registry = |service: &Registry| {
        let realm = format!("http://{}/token", service.address);
        Registry::start(move |_| challenge(&realm))
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let tokens = service(&sent).await;
    let error = ours().manifest(&name(&registry(&tokens).await), &tag()).await.unwrap_err();
    assert!(matches!(error, Error::Token { .. }), "{error:?}");
    assert!(sent.load(Ordering::Relaxed) < MOST);

    let sent = Arc::new(AtomicUsize::new(0));
    let tokens = service(&sent).await;
    let registry = registry(&tokens).await;
    let auth = RegistryAuth::Anonymous;
    theirs(None).auth(&reference(&registry), &auth, RegistryOperation::Pull).await.unwrap_err();
    assert_eq!(sent.load(Ordering::Relaxed), LONG, "all of it was taken");
}

#[tokio::test]
async fn nobody_sends_us_to_a_metadata_service() {
    let redirect =
        |_: &SeenRequest| (StatusCode::FOUND, [(header::LOCATION, METADATA)]).into_response();
    let registry = Registry::start(redirect).await;
    let error = ours().manifest(&name(&registry), &tag()).await.unwrap_err();
    let Error::Unreachable { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.is_redirect(), "{source:?}");

    let registry = Registry::start(|seen| match seen.uri.as_str() {
        METADATA => "a password".into_response(),
        _ => (StatusCode::FOUND, [(header::LOCATION, METADATA)]).into_response(),
    })
    .await;
    theirs(Some(&registry))
        .pull_manifest(&elsewhere(), &RegistryAuth::Anonymous)
        .await
        .unwrap_err();
    assert!(registry.uris().contains(&METADATA.to_owned()), "{:?}", registry.uris());
}

#[tokio::test]
async fn a_password_goes_to_no_token_service_that_is_not_https_or_is_nearer_than_its_registry() {
    let registry = Registry::start(|_| challenge(METADATA)).await;
    let error = ours().manifest(&name(&registry), &tag()).await.unwrap_err();
    let Error::Token { what, .. } = &error else { panic!("{error:?}") };
    assert_eq!(what, "169.254.169.254 is no address for it");

    let registry = Registry::start(|seen| match seen.uri.starts_with(METADATA) {
        true => r#"{"token":"a"}"#.into_response(),
        false => challenge(METADATA),
    })
    .await;
    let login = RegistryAuth::Basic("tenant".to_owned(), "hunter2".to_owned());
    let operation = RegistryOperation::Pull;
    theirs(Some(&registry)).auth(&elsewhere(), &login, operation).await.unwrap();
    let proxied =
        registry.requests().into_iter().find(|seen| seen.uri.starts_with(METADATA)).unwrap();
    assert_eq!(proxied.authorization.as_deref(), Some("Basic dGVuYW50Omh1bnRlcjI="));
}

#[tokio::test]
async fn a_manifest_sends_nobody_to_addresses_of_its_own() {
    let layers = format!(
        r#"{{"layers":[{{"mediaType":"a","digest":"{}","size":1,"urls":["{METADATA}"]}}]}}"#,
        Digest::of(b"a")
    );
    let Manifest::Image(layers) = manifest(&layers).unwrap() else { panic!() };
    // There is no field for it.
    assert_eq!(layers[0].content.as_ref().unwrap().size, 1);

    let registry = Registry::start(|seen| match seen.uri.as_str() {
        METADATA => "a".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let layer = OciDescriptor {
        digest: Digest::of(b"a").to_string(),
        size: 1,
        urls: Some(vec![METADATA.to_owned()]),
        ..OciDescriptor::default()
    };
    let mut content = vec![];
    theirs(Some(&registry)).pull_blob(&elsewhere(), &layer, &mut content).await.unwrap();
    assert_eq!(content, b"a", "from there");
}

#[tokio::test]
async fn a_registry_is_left_alone_for_as_long_as_it_says() {
    let limit = |_: &SeenRequest| {
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")]).into_response()
    };
    let registry = Registry::start(limit).await;
    let registries = ours();
    for _ in 0..3 {
        let error = registries.manifest(&name(&registry), &tag()).await.unwrap_err();
        assert!(matches!(error, Error::RateLimited { .. }), "{error:?}");
    }
    assert_eq!(registry.requests().len(), 1);

    let registry = Registry::start(limit).await;
    let client = theirs(None);
    for _ in 0..3 {
        let answer = client.pull_manifest(&reference(&registry), &RegistryAuth::Anonymous).await;
        // No header is left of the answer: not even who wraps it knows for how long.
        let is_bare = matches!(answer, Err(OciDistributionError::ServerError { code: 429, .. }));
        assert!(is_bare, "{answer:?}");
    }
    assert!(registry.requests().len() >= 3, "{:?}", registry.uris());
}

#[test]
fn references_are_what_container_tools_take() {
    let theirs = |text: &str| text.parse::<oci_client::Reference>();
    let ours = |text: &str| text.parse::<Reference>();
    // Registries that are written as an address of IPv6.
    assert!(ours("[::1]:5000/os:1").is_ok() && theirs("[::1]:5000/os:1").is_err());
    // One registry under two names: what is allowed, cached and reached by the one is not by the other.
    let same = ["GHCR.io/a/b:1", "ghcr.io/a/b:1"];
    assert_eq!(ours(same[0]), ours(same[1]));
    assert_ne!(theirs(same[0]), theirs(same[1]));
    let hub = "registry-1.docker.io/ubuntu:1";
    assert_eq!(ours(hub).unwrap().to_string(), "docker.io/library/ubuntu:1");
    assert_eq!(theirs(hub).unwrap().whole(), hub);
    // Two digests of one content, and ports that are none.
    let upper = format!("ghcr.io/a/b@sha256:{}", "A".repeat(64));
    for text in [upper.as_str(), "ghcr.io:0/a/b:1", "ghcr.io:70000/a/b:1"] {
        assert!(ours(text).is_err() && theirs(text).is_ok(), "{text}");
    }
    // What is wrong is not told.
    for text in ["ghcr.io/Owner/os:1", "ghcr.io/a:-1", "https://ghcr.io/a"] {
        assert_eq!(theirs(text).unwrap_err().to_string(), "invalid reference format");
    }
    assert!(ours("ghcr.io/Owner/os:1").unwrap_err().to_string().contains("must be lower-case"));
}

#[test]
fn one_odd_entry_costs_only_itself() {
    let digest = Digest::of(b"a");
    let good = format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":1,
            "platform":{{"architecture":"amd64","os":"linux"}}}}"#
    );
    for odd in [
        good.replace("\"size\":1", "\"size\":\"1\""),
        good.replace("\"os\":\"linux\"", "\"os\":\"linux\",\"os.version\":6"),
        good.replace("\"os\":\"linux\"", "\"os\":null"),
        good.replace("\"platform\"", "\"annotations\":{\"a\":1},\"platform\""),
        good.replacen("\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",", "", 1),
        "null".to_owned(),
    ] {
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
                "manifests":[{odd},{good}]}}"#
        );
        let Manifest::Index(entries) = manifest(&index).unwrap() else { panic!("{index}") };
        assert!(entries.iter().any(|entry| entry.digest == Ok(digest.clone())), "{index}");
        assert!(serde_json::from_str::<OciManifest>(&index).is_err(), "{index}");
    }
}

#[test]
fn a_side_field_never_costs_the_token_and_its_validity_counts() {
    use metal_image::fuzzing::token;
    for (body, theirs) in [
        // They take the empty one.
        (r#"{"token":"","access_token":"a"}"#, Some("")),
        // They read no byte order mark, which some services send.
        ("\u{feff}{\"token\":\"a\"}", None),
        (r#"{"token":"a","token":"a"}"#, None),
    ] {
        assert_eq!(token(body.as_bytes()).map(|(text, _)| text).as_deref(), Some("a"), "{body}");
        let read = serde_json::from_str::<RegistryToken>(body).ok();
        assert_eq!(read.as_ref().map(RegistryToken::token), theirs, "{body}");
    }
    // How long it is good for is in the answer, and in none of their types.
    let body = r#"{"token":"a","expires_in":5}"#;
    assert!(token(body.as_bytes()).is_some_and(|(_, seconds)| seconds < 6.0));
    let read: RegistryToken = serde_json::from_str(body).unwrap();
    assert!(matches!(read, RegistryToken::Token { token } if token == "a"));
}

fn ours() -> Registries {
    Registries::new(&Config::default()).unwrap()
}

/// A client by plain HTTP, which asks others than registries on this host through `proxy`.
fn theirs(proxy: Option<&Registry>) -> Client {
    // An error says that somebody else has installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::new(ClientConfig {
        protocol: ClientProtocol::Http,
        http_proxy: proxy.map(|proxy| format!("http://{}", proxy.address)),
        ..ClientConfig::default()
    })
}

fn name(registry: &Registry) -> Name {
    format!("{}/os", registry.address).parse().unwrap()
}

fn tag() -> Version {
    Version::Tag("1".into())
}

fn reference(registry: &Registry) -> oci_client::Reference {
    format!("{}/os:1", registry.address).parse().unwrap()
}

/// A registry on the Internet.
fn elsewhere() -> oci_client::Reference {
    "registry.example/os:1".parse().unwrap()
}

fn challenge(realm: &str) -> Response {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

fn manifest(text: &str) -> Result<Manifest, metal_image::manifest::MalformedManifest> {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Manifest::parse(&Document { digest: Digest::of(&bytes), content_type: None, bytes })
}
