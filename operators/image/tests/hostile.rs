//! Against a registry that is after our disk, our slots or our addresses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod fake;

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::IntoResponse,
};
use bytes::Bytes;
use fake::Fake;
use futures::{StreamExt, TryStreamExt, stream};
use metal_image::{
    AllowList, Blob, Digest, Logins, Name, Registries, Resolver, Store, Version, manifest,
    registry::{self, Config, Pace},
    store::{self, Account},
};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn what_the_manifest_says_of_a_size_counts_and_not_what_the_registry_sends() {
    let kernel = vec![1; 65_000];
    let digest = Digest::of(&kernel);
    let announced = kernel.clone();
    let fake = Fake::start(move |path, _| match path {
        "/v2/os/manifests/1" => {
            let layers = [(manifest::KERNEL[0], announced.as_slice()), (manifest::INITRD[0], b"i")];
            image(&layers).into_response()
        }
        // As large as the whole cache.
        _ => ([(header::CONTENT_LENGTH, "6000000")], endless()).into_response(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (resolver, store) = fake.both(dir.path(), 6_000_000, Config::default()).await;
    fill(&store, dir.path()).await;
    resolver.resolve(&format!("{}:1", fake.name), "amd64").await.unwrap();
    let error = store.open(&fake.name, &digest).await.err().unwrap();
    let (expected, sent) = (65_000, 6_000_000);
    assert!(
        matches!(error, store::Error::Size { expected: e, sent: s, .. } if (e, s) == (expected, sent)),
        "{error:?}"
    );
    assert_eq!(store.stats().blobs, 3, "nothing had to go for it");
}

#[tokio::test]
async fn a_registry_that_only_announces_bytes_takes_no_room() {
    let fake = Fake::start(move |_, _| {
        ([(header::CONTENT_LENGTH, "6000000")], drip(Duration::from_millis(50))).into_response()
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (_, store) = fake.both(dir.path(), 7_000_000, Config::default()).await;
    fill(&store, dir.path()).await;
    let blob = store.open(&fake.name, &Digest::of(b"unknown")).await.unwrap();
    assert_eq!(blob.size(), 6_000_000);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(store.stats().blobs, 3, "nothing had to go for it");
}

#[tokio::test]
async fn a_drip_ends_and_gives_its_slot_back() {
    let fake = Fake::start(move |path, _| {
        if path.ends_with(&Digest::of(b"good").to_string()) {
            "good".into_response()
        } else {
            let drip = drip(Duration::from_millis(20));
            ([(header::CONTENT_LENGTH, "60000")], drip).into_response()
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let pace = Pace { bytes: 1_000, window: Duration::from_secs(2) };
    let (_, store) = fake.both(dir.path(), 1_000_000, Config { pace, ..Config::default() }).await;
    // More than there are slots.
    let blobs = (0..20_u8).map(|n| store_open(&store, &fake.name, Digest::of(&[n])));
    let ended = futures::future::join_all(blobs).await;
    for error in ended {
        let text = format!("{error:?}");
        assert!(text.contains("TooSlow"), "{text}");
    }
    let digest = Digest::of(b"good");
    let good = store.open(&fake.name, &digest);
    assert_eq!(timeout(LIMIT, good).await.unwrap().unwrap().size(), 4);
    assert_eq!(store.stats().failures, 20);
}

#[tokio::test]
async fn a_download_that_nobody_waits_for_ends() {
    let fake =
        Fake::start(move |_, _| ([(header::CONTENT_LENGTH, "600000")], steady()).into_response())
            .await;
    let dir = tempfile::tempdir().unwrap();
    let long = Duration::from_hours(1000);
    let pace = Pace { bytes: 1, window: long };
    let config = Config { pace, silence: long, ..Config::default() };
    let (_, store) = fake.both(dir.path(), 1_000_000, config).await;
    let blob = store.open(&fake.name, &Digest::of(b"a")).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(90)).await;
    tokio::time::resume();
    sleep(Duration::from_millis(100)).await;
    assert_eq!(store.stats().failures, 0, "somebody waits");
    drop(blob);
    let ended = async {
        while store.stats().failures == 0 {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(6)).await;
            tokio::time::resume();
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_hours(100), ended).await.unwrap();
    let parts = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!((parts, store.stats().size), (1, 0), "only the lock");
}

#[tokio::test]
async fn neither_a_login_nor_a_signed_address_follows_to_another_host() {
    let other = Fake::start(|path, headers| {
        assert_eq!(path, "/blob");
        assert!(headers.keys().all(|it| *it != header::AUTHORIZATION && *it != header::REFERER));
        "content".into_response()
    })
    .await;
    let target = format!("http://{}/blob", other.address);
    let fake = Fake::start(move |path, headers| match path {
        "/token?scope=repository%3Aos%3Apull" => r#"{"token":"secret"}"#.into_response(),
        _ if headers.get(header::AUTHORIZATION).is_none() => {
            let here =
                format!("Bearer realm=\"http://{}/token\"", headers["host"].to_str().unwrap());
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, here)]).into_response()
        }
        _ => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target.clone())]).into_response(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (_, store) = fake.both(dir.path(), 1_000, Config::default()).await;
    let blob = store.open(&fake.name, &Digest::of(b"content")).await.unwrap();
    let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
    assert_eq!(body.concat(), b"content");
    assert_eq!(other.asked(), ["/blob"]);
}

#[tokio::test]
async fn a_password_that_was_right_before_is_soon_sent_no_more() {
    let (is_right, sent) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (right, count) = (Arc::clone(&is_right), Arc::clone(&sent));
    let fake = Fake::start(move |_, headers| {
        let shows = headers.contains_key(header::AUTHORIZATION);
        count.fetch_add(usize::from(shows), Ordering::Relaxed);
        if shows && right.load(Ordering::Relaxed) {
            return image(&[(manifest::KERNEL[0], b"k")]).into_response();
        }
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=x")]).into_response()
    })
    .await;
    let login = r#"{"username": "a", "password": "b"}"#;
    let file = format!(r#"{{"auths": {{"{}": {login}}}}}"#, fake.address);
    let logins = Logins::parse(file.as_bytes()).unwrap();
    let registries = Arc::new(Registries::new(&Config::default()).unwrap());
    let resolver = Resolver::new(registries, AllowList::any());
    let finds = async |image: &str| {
        let image = format!("{}/{image}", fake.address);
        resolver.resolve_as(&image, "amd64", &logins).await.is_ok()
    };
    for image in ["a:1", "b:1", "c:1"] {
        assert!(finds(image).await, "{image}");
    }
    is_right.store(false, Ordering::Relaxed);
    for image in ["a:2", "b:2", "c:2", "d:2", "a:3", "b:3", "c:3", "d:3", "c:4"] {
        assert!(!finds(image).await, "{image}");
    }
    // What was good before, by three; and anew by one of many, and by one alone.
    assert_eq!(sent.load(Ordering::Relaxed), 3 + 3 + 2);
}

#[tokio::test]
async fn nobody_sends_us_to_a_metadata_service() {
    let inward = "http://169.254.169.254/latest/meta-data";
    let redirecting =
        Fake::start(move |_, _| (StatusCode::FOUND, [(header::LOCATION, inward)]).into_response())
            .await;
    let challenging = Fake::start(move |_, _| {
        let challenge = format!("Bearer realm=\"{inward}\"");
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    })
    .await;
    let registries = Registries::new(&Config::default()).unwrap();
    let version = Version::Tag("1".into());
    let error = registries.manifest(&redirecting.name, &version).await.unwrap_err();
    let registry::Error::Unreachable { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.is_redirect(), "{source:?}");
    let error = registries.manifest(&challenging.name, &version).await.unwrap_err();
    let registry::Error::Token { what, .. } = &error else { panic!("{error:?}") };
    assert_eq!(what, "169.254.169.254 is no address for it");
}

#[tokio::test]
async fn redirects_have_an_end() {
    let fake = Fake::start(|path, _| {
        (StatusCode::FOUND, [(header::LOCATION, format!("{path}a"))]).into_response()
    })
    .await;
    let registries = Registries::new(&Config::default()).unwrap();
    let error = registries.manifest(&fake.name, &Version::Tag("1".into())).await.unwrap_err();
    assert!(matches!(error, registry::Error::Unreachable { .. }), "{error:?}");
    assert!(fake.asked().len() <= 7, "{:?}", fake.asked());
}

#[tokio::test]
async fn a_token_is_had_whatever_stands_beside_it() {
    let challenges = [
        vec![r#"Bearer realm="/token",service="s""#],
        vec![r#"Negotiate, bearer Realm = "/token" , SERVICE=s"#],
        vec![r#"Basic realm="a, b""#, r#"Bearer realm="/token",service="s""#],
        vec![r#"Negotiate abc==, Basic realm=x, Bearer realm="/token?service=s""#],
    ];
    for challenge in challenges {
        let all = challenge.clone();
        let fake = Fake::start(move |path, headers| match path {
            path if path.starts_with("/token?") => {
                r#"{"access_token":"secret","expires_in":"-1.5","issued_at":{}}"#.into_response()
            }
            _ if headers.get(header::AUTHORIZATION).is_some() => {
                assert_eq!(headers[header::AUTHORIZATION], "Bearer secret");
                image(&[]).into_response()
            }
            _ => {
                let mut response = StatusCode::UNAUTHORIZED.into_response();
                for challenge in &all {
                    let value = challenge.parse().unwrap();
                    response.headers_mut().append(header::WWW_AUTHENTICATE, value);
                }
                response
            }
        })
        .await;
        let registries = Registries::new(&Config::default()).unwrap();
        registries.manifest(&fake.name, &Version::Tag("1".into())).await.unwrap();
        let token = fake.asked().into_iter().find(|path| path.starts_with("/token")).unwrap();
        assert!(token.contains("service=s") && token.contains("scope=repository"), "{token}");
    }
}

#[tokio::test]
async fn a_blob_of_an_earlier_process_is_looked_at_before_it_is_served() {
    let content = vec![7; 1_500_000];
    let digest = Digest::of(&content);
    let served = content.clone();
    let fake = Fake::start(move |_, _| served.clone().into_response()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(format!("sha256-{}.1", digest.hex()));
    let mut bad = content.clone();
    bad[1_499_999] = 8;
    std::fs::write(&path, &bad).unwrap();

    let (_, store) = fake.both(dir.path(), 10_000_000, Config::default()).await;
    let read = async |store: &Store| {
        let blob = store.open(&fake.name, &digest).await.unwrap();
        let body: Vec<Bytes> = blob.read(0..blob.size()).try_collect().await.unwrap();
        assert!(body.concat() == content);
    };
    read(&store).await;
    store.closed().await;
    assert!(!path.exists(), "what was changed is gone");
    assert_eq!((store.stats().downloads, store.stats().size), (1, 1_500_000));
    drop(store);

    let (_, store) = fake.both(dir.path(), 10_000_000, Config::default()).await;
    for _ in 0..2 {
        read(&store).await;
    }
    assert_eq!((store.stats().downloads, store.stats().size), (0, 1_500_000));
    assert_eq!(fake.asked().len(), 1, "what is right is not fetched again");
}

#[tokio::test]
async fn what_one_account_downloads_keeps_no_other_from_its_images() {
    let [good, fine] = [b"good", b"fine"].map(|content| Digest::of(content));
    let fake = Fake::start(move |path, _| {
        if path.ends_with(&good.to_string()) {
            return "good".into_response();
        }
        if path.ends_with(&fine.to_string()) {
            return "fine".into_response();
        }
        // 60 %, which never end; or 20 %.
        let size =
            if path.ends_with(&Digest::of(b"large").to_string()) { "600000" } else { "201000" };
        ([(header::CONTENT_LENGTH, size)], steady()).into_response()
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let pace = Pace { bytes: 1, window: Duration::from_hours(1000) };
    let config = Config { pace, silence: pace.window, ..Config::default() };
    let (_, store) = fake.both(dir.path(), 1_000_000, config).await;
    let (a, b) = (Account::of("a"), Account::of("b"));
    let large = store.open_for(&fake.name, &Digest::of(b"large"), &a).await.err().unwrap();
    assert!(matches!(large, store::Error::Large { size: 600_000, .. }), "{large}");
    let mut stalled = vec![];
    for content in [b"1", b"2"] {
        stalled.push(store.open_for(&fake.name, &Digest::of(content), &a).await.unwrap());
    }
    // These wait for their turn, and take none of another account, even if it asks for the same.
    let others = [Digest::of(b"good"), Digest::of(b"fine")];
    let digests: Vec<_> = (10..30_u8).map(|number| Digest::of(&[number])).chain(others).collect();
    let waiting = digests.iter().map(|digest| store.open_for(&fake.name, digest, &a));
    let mut waiting = Box::pin(futures::future::join_all(waiting));
    assert!(futures::poll!(&mut waiting).is_pending());
    let digest = Digest::of(b"good");
    let blob = timeout(LIMIT, store.open_for(&fake.name, &digest, &b)).await.unwrap().unwrap();
    let content: Vec<_> = blob.read(0..4).try_collect().await.unwrap();
    assert_eq!(content.concat(), b"good");
    let (digest, unlimited) = (Digest::of(b"fine"), Account::default());
    let fine = store.open_for(&fake.name, &digest, &unlimited);
    assert_eq!(timeout(LIMIT, fine).await.unwrap().unwrap().size(), 4);
    assert_eq!(stalled.iter().map(Blob::size).sum::<u64>(), 402_000);
}

/// The manifest of an image with these layers.
fn image(layers: &[(&str, &[u8])]) -> String {
    let layers = layers.iter().map(|(media_type, content)| {
        let (digest, size) = (Digest::of(content), content.len());
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
    });
    format!(r#"{{"layers":[{}]}}"#, layers.collect::<Vec<_>>().join(","))
}

fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(vec![0; 65_536])))
}

/// Sends a byte now and then.
fn drip(every: Duration) -> Body {
    Body::from_stream(stream::repeat(()).then(move |()| async move {
        sleep(every).await;
        Ok::<_, io::Error>(vec![0])
    }))
}

/// Fast enough, but never ends.
fn steady() -> Body {
    let first = stream::iter([Ok::<_, io::Error>(vec![0; 200_000])]);
    Body::from_stream(first.chain(stream::repeat(()).take(1).then(|()| async {
        sleep(Duration::from_hours(1000)).await;
        Ok(vec![0])
    })))
}

async fn store_open(store: &Store, name: &Name, digest: Digest) -> io::Error {
    let blob = match store.open(name, &digest).await {
        Ok(blob) => blob,
        Err(error) => return io::Error::other(error),
    };
    blob.read(0..blob.size()).try_collect::<Vec<_>>().await.unwrap_err()
}

/// Fetches three blobs that fill the store.
async fn fill(store: &Store, dir: &Path) {
    let contents = [1_u8, 2, 3].map(|n| vec![n; 2_000_000]);
    let served = contents.clone();
    let fake = Fake::start(move |path, _| {
        let found = served.iter().find(|content| path.ends_with(&Digest::of(content).to_string()));
        found.unwrap().clone().into_response()
    })
    .await;
    for content in &contents {
        let blob = store.open(&fake.name, &Digest::of(content)).await.unwrap();
        blob.read(0..blob.size()).try_for_each(async |_| Ok(())).await.unwrap();
    }
    while store.stats().blobs < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(dir.exists());
}

impl Fake {
    async fn both(&self, dir: &Path, limit: u64, config: Config) -> (Resolver, Store) {
        let registries = Arc::new(Registries::new(&config).unwrap());
        let allowed = AllowList::new([self.address.as_str()]).unwrap();
        let shutdown = CancellationToken::new();
        let store = Store::open_dir(dir, limit, Arc::clone(&registries), shutdown).await.unwrap();
        (Resolver::new(registries, allowed), store)
    }
}
