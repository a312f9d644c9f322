//! Against a registry that misbehaves.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod fake;

use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use fake::{Answer, Fake, ok, status};
use futures::{StreamExt, TryStreamExt};
use metal_image::{
    AllowList, Digest, Reference, Registries, Resolver, Store, Version, manifest, registry,
    registry::Config, resolve, respond, store,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_thousand_machines_with_one_image_ask_the_registry_once() {
    let layer = |media_type, content| {
        let digest = Digest::of(content);
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":1}}"#)
    };
    let kernel = layer(manifest::KERNEL[0], b"k".as_slice());
    let initrd = layer(manifest::INITRD[0], b"i".as_slice());
    let body = format!(r#"{{"layers":[{kernel},{initrd}]}}"#);
    let fake = Fake::start(vec![ok(body)]).await;
    let resolver = fake.resolver();
    let image = format!("{}:1", fake.name);
    let asked = futures::future::join_all((0..1000).map(|_| resolver.resolve(&image, "amd64")));
    let all = tokio::time::timeout(LIMIT, asked).await.unwrap();
    assert!(all.iter().all(|answer| answer.as_ref().unwrap().pxe.is_ok()));
    assert_eq!(fake.paths(), ["/v2/os/manifests/1"]);
}

#[tokio::test]
async fn a_token_is_fetched_when_asked_for_and_then_kept() {
    let fake = Fake::start(vec![
        Answer::Challenge(r#"Bearer realm="http://HERE/token",service="s p",scope="x""#),
        ok(r#"{"access_token":"secret","expires_in":300}"#),
        ok(r#"{"layers":[]}"#),
        ok(r#"{"layers":[]}"#),
    ])
    .await;
    let registries = registries();
    for tag in ["1", "2"] {
        registries.manifest(&fake.name, &Version::Tag(tag.into())).await.unwrap();
    }
    let token = "/token?scope=repository%3Aos%3Apull&service=s+p";
    let manifest = |tag| format!("/v2/os/manifests/{tag}");
    assert_eq!(fake.paths(), [manifest(1), token.to_owned(), manifest(1), manifest(2)]);
    let bearer = Some("Bearer secret".to_owned());
    assert_eq!(fake.authorizations(), [None, None, bearer.clone(), bearer]);
}

#[tokio::test]
async fn refusals_are_told_apart() {
    use registry::Error as E;
    type Expected = fn(&E) -> bool;
    let cases: Vec<(Answer, Expected, bool)> = vec![
        (Answer::Challenge(r#"Basic realm="x""#), |e| matches!(e, E::LoginNeeded { .. }), false),
        (status(403), |e| matches!(e, E::LoginNeeded { .. }), false),
        (status(404), |e| matches!(e, E::NoImage { .. }), false),
        (status(429), |e| matches!(e, E::RateLimited { .. }), true),
        (status(418), |e| matches!(e, E::Status { status: 418, .. }), false),
        (status(503), |e| matches!(e, E::Status { status: 503, .. }), true),
        (ok(vec![b' '; 5 << 20]), |e| matches!(e, E::TooLarge { .. }), false),
        (Answer::Broken(vec![b'x'; 10], 20), |e| matches!(e, E::Unreachable { .. }), true),
    ];
    for (answer, expected, transient) in cases {
        let fake = Fake::start(vec![answer]).await;
        fake.break_now();
        let refused = registries().manifest(&fake.name, &Version::Tag("1".into())).await;
        let error = refused.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!(error.is_transient(), transient, "{error:?}");
    }
}

#[tokio::test]
async fn a_token_service_that_is_busy_is_asked_again_and_no_login_is_missing() {
    let challenge = || Answer::Challenge(r#"Bearer realm="http://HERE/token""#);
    for (code, is_busy) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (408, true),
        (425, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let fake = Fake::start(vec![
            challenge(),
            status(code),
            challenge(),
            ok(r#"{"token":"secret"}"#),
            ok(r#"{"layers":[]}"#),
        ])
        .await;
        let (registries, version) = (registries(), Version::Tag("1".into()));
        let error = registries.manifest(&fake.name, &version).await.unwrap_err();
        let is_login = matches!(error, registry::Error::LoginNeeded { .. });
        assert_eq!((error.is_transient(), is_login), (is_busy, !is_busy), "{code} {error:?}");
        let is_limited = matches!(error, registry::Error::RateLimited { .. });
        assert_eq!(is_limited, code == 429, "{error:?}");
        registries.manifest(&fake.name, &version).await.unwrap();
    }
}

#[tokio::test]
async fn a_registry_that_says_when_is_asked_then() {
    let version = Version::Tag("1".into());
    let challenge = Answer::Challenge(r#"Bearer realm="http://HERE/token""#);
    let beginnings = [
        (vec![Answer::Busy(429)], true),
        (vec![Answer::Busy(503)], false),
        (vec![challenge, Answer::Busy(429)], true),
    ];
    for (mut answers, is_limit) in beginnings {
        let before = answers.len();
        answers.push(ok(r#"{"layers":[]}"#));
        let fake = Fake::start(answers).await;
        let registries = registries();
        let is_refused = async || {
            let error = registries.manifest(&fake.name, &version).await.unwrap_err();
            assert_eq!(matches!(error, registry::Error::RateLimited { .. }), is_limit, "{error:?}");
            assert!(error.is_transient(), "{error:?}");
        };
        is_refused().await;
        // However long this takes, the rest is not over.
        tokio::time::pause();
        is_refused().await;
        is_refused().await;
        assert_eq!(fake.paths().len(), before, "asked although it rests");
        tokio::time::advance(Duration::from_millis(1050)).await;
        tokio::time::resume();
        registries.manifest(&fake.name, &version).await.unwrap();
    }
    let fake = Fake::start(vec![Answer::Busy(503), ok("content")]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1 << 20).await;
    assert_eq!(store.open(&fake.name, &Digest::of(b"content")).await.unwrap().size(), 7);
}

#[tokio::test]
async fn a_manifest_must_have_the_digest_it_was_asked_by() {
    let fake = Fake::start(vec![ok(r#"{"layers":[]}"#)]).await;
    let version = Version::Digest(Digest::of(b"other"));
    let error = registries().manifest(&fake.name, &version).await.unwrap_err();
    assert!(matches!(error, registry::Error::DigestMismatch { .. }), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_never_answers_costs_a_deadline() {
    let fake = Fake::start(vec![Answer::Silence]).await;
    let short = Duration::from_millis(100);
    let config = Config { deadline: short, silence: short, ..Config::default() };
    let registries = Registries::new(&config).unwrap();
    let version = Version::Tag("1".into());
    let asked = registries.manifest(&fake.name, &version);
    let error = tokio::time::timeout(LIMIT, asked).await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_blob_that_is_not_what_its_digest_says_is_never_complete() {
    let content = vec![7; 2_000_000];
    let fake = Fake::start(vec![ok(content.clone()), ok(content)]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 10_000_000).await;
    let digest = Digest::of(b"what it should be");
    let blob = store.open(&fake.name, &digest).await.unwrap();
    let response = respond(&Method::GET, &HeaderMap::new(), &blob, "a/b");
    let pieces: Vec<_> = response.into_body().collect().await;
    let received: usize = pieces.iter().flatten().map(Bytes::len).sum();
    assert!(received < 2_000_000, "the last block must be withheld");
    assert!(pieces.last().unwrap().is_err());

    store.closed().await;
    assert_eq!((store.stats().failures, store.stats().size), (1, 0));
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "only the lock");
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    let content: Vec<u8> = (0..1_500_000_u32).map(|i| (i / 3).to_le_bytes()[0]).collect();
    let first = content[..700_000].to_vec();
    let fake = Fake::start(vec![
        Answer::Broken(first, content.len()),
        status(503),
        Answer::Partial(content.clone()),
    ])
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 10_000_000).await;
    let blob = store.open(&fake.name, &Digest::of(&content)).await.unwrap();
    fake.break_after(&store, 700_000).await;
    let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
    assert!(body.concat() == content);
    assert_eq!(fake.ranges(), [None, Some("bytes=700000-".into()), Some("bytes=700000-".into())]);
}

#[tokio::test]
async fn a_part_begins_where_the_registry_says_and_not_where_it_was_asked() {
    let content: Vec<u8> = (0..1_500_000_u32).map(|i| (i / 3).to_le_bytes()[0]).collect();
    for (start, is_usable) in [(600_000, true), (700_000, true), (800_000, false)] {
        let first = content[..700_000].to_vec();
        let fake = Fake::start(vec![
            Answer::Broken(first, content.len()),
            Answer::PartialFrom(content.clone(), start),
        ])
        .await;
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), 10_000_000).await;
        let blob = store.open(&fake.name, &Digest::of(&content)).await.unwrap();
        fake.break_after(&store, 700_000).await;
        let body: Result<Vec<Bytes>, _> = blob.read(0..blob.size()).try_collect().await;
        assert_eq!(body.is_ok(), is_usable, "{start}");
        assert!(body.is_err() || body.unwrap().concat() == content, "{start}");
    }
}

/// Chunked encoding marks the end by one more chunk. A range after the last byte would be refused.
#[tokio::test]
async fn a_download_that_lacks_nothing_but_its_end_mark_is_complete() {
    let content: Vec<u8> = (0..700_000_u32).map(|i| (i / 3).to_le_bytes()[0]).collect();
    let (digest, size) = (Digest::of(&content), content.len());
    let uki = manifest::UKI[0];
    let layer = format!(r#"{{"mediaType":"{uki}","digest":"{digest}","size":{size}}}"#);
    let manifest = format!(r#"{{"layers":[{layer}]}}"#);
    let fake = Fake::start(vec![ok(manifest), Answer::Endless(content.clone())]).await;
    let registries = registries();
    let allowed = AllowList::new([fake.name.registry().as_str()]).unwrap();
    let resolver = Resolver::new(Arc::clone(&registries), allowed);
    resolver.resolve(&format!("{}:1", fake.name), "amd64").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let store = Store::open_dir(dir.path(), 10_000_000, registries, shutdown).await.unwrap();
    let blob = store.open(&fake.name, &digest).await.unwrap();
    fake.break_after(&store, 700_000).await;
    let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
    assert!(body.concat() == content);
    assert_eq!(fake.ranges(), [None, None], "there is nothing to ask for");
    let accepted = fake.headers(&header::ACCEPT);
    assert!(accepted[0].as_ref().unwrap().contains("manifest"), "{accepted:?}");
    assert_eq!(accepted[1].as_deref(), Some("*/*"), "a blob has any type");
}

#[tokio::test]
async fn a_registry_without_ranges_is_asked_for_the_whole_again() {
    let content: Vec<u8> = (0..900_000_u32).map(|i| (i / 3).to_le_bytes()[0]).collect();
    let first = content[..600_000].to_vec();
    let answers = vec![Answer::Broken(first, content.len()), ok(content.clone())];
    let fake = Fake::start(answers).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 10_000_000).await;
    let blob = store.open(&fake.name, &Digest::of(&content)).await.unwrap();
    fake.break_after(&store, 600_000).await;
    let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
    assert!(body.concat() == content);
}

#[tokio::test]
async fn a_blob_without_stated_size_is_served_when_it_is_complete() {
    let content = vec![3; 700_000];
    let fake = Fake::start(vec![Answer::Chunked(content.clone())]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 10_000_000).await;
    let blob = store.open(&fake.name, &Digest::of(&content)).await.unwrap();
    assert_eq!(blob.size(), 700_000);
    store.closed().await;
    assert_eq!(store.stats().size, 700_000);
}

#[tokio::test]
async fn a_blob_larger_than_the_cache_is_refused_with_the_flag_that_helps() {
    let fake = Fake::start(vec![ok(vec![1; 2000])]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1000).await;
    let error = store.open(&fake.name, &Digest::of(&vec![1; 2000])).await.err().unwrap();
    assert!(matches!(error, store::Error::Full { size: 2000, limit: 1000 }), "{error:?}");
    assert!(error.to_string().contains("--image-cache-size"));
}

#[tokio::test]
async fn the_cache_makes_room_by_the_least_recently_used_blob() {
    let contents = [vec![1; 400], vec![2; 400], vec![3; 400]];
    let again = contents[1].clone();
    let answers = contents.iter().cloned().chain([again]).map(ok).collect();
    let fake = Fake::start(answers).await;
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1000).await;
    let fetch = async |content: &[u8], blobs| {
        let blob = store.open(&fake.name, &Digest::of(content)).await.unwrap();
        let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
        assert!(body.concat() == content);
        // A reader is done slightly before the file is complete on disk.
        let kept = async {
            while store.stats().blobs != blobs {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, kept).await.unwrap();
    };
    fetch(&contents[0], 1).await;
    fetch(&contents[1], 2).await;
    fetch(&contents[0], 2).await;
    fetch(&contents[2], 2).await;
    assert_eq!((store.stats().size, store.stats().downloads), (800, 3));
    fetch(&contents[0], 2).await;
    assert_eq!(store.stats().downloads, 3, "the blob that was used again has stayed");
    fetch(&contents[1], 2).await;
    assert_eq!(store.stats().downloads, 4);
}

#[tokio::test]
async fn an_ending_process_lets_nobody_wait() {
    let fake = Fake::start(vec![Answer::Silence]).await;
    let dir = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let store = Store::open_dir(dir.path(), 1000, registries(), shutdown.clone()).await.unwrap();
    let digest = Digest::of(b"a");
    let mut opening = std::pin::pin!(store.open(&fake.name, &digest));
    assert!(futures::poll!(&mut opening).is_pending());
    shutdown.cancel();
    let error = tokio::time::timeout(LIMIT, opening).await.unwrap().err().unwrap();
    assert!(matches!(error, store::Error::Shutdown), "{error:?}");
}

#[tokio::test]
async fn an_image_from_elsewhere_is_not_even_asked_for() {
    let fake = Fake::start(vec![]).await;
    let resolver = Resolver::new(registries(), AllowList::new([]).unwrap());
    let image: Reference = format!("{}:1", fake.name).parse().unwrap();
    let error = resolver.resolve(&image.to_string(), "amd64").await.unwrap_err();
    assert_eq!(error.reason(), "RegistryNotAllowed");
    assert!(matches!(error, resolve::Error::NotAllowed(_)));
    assert_eq!(fake.paths(), [""; 0]);
}

#[tokio::test]
async fn a_document_that_is_no_image_is_an_error_of_the_image() {
    for body in ["{", "[]", "{}", r#"{"layers":[],"manifests":[]}"#] {
        let fake = Fake::start(vec![ok(body)]).await;
        let image = format!("{}:1", fake.name);
        let error = fake.resolver().resolve(&image, "amd64").await.unwrap_err();
        assert_eq!(error.reason(), "MalformedManifest", "{body}");
        assert!(error.to_string().contains(&image), "{error}");
    }
}

fn registries() -> Arc<Registries> {
    Arc::new(Registries::new(&Config::default()).unwrap())
}

async fn store(dir: &std::path::Path, limit: u64) -> Store {
    Store::open_dir(dir, limit, registries(), CancellationToken::new()).await.unwrap()
}
