//! Registries that ask for a login: who gets what, and where a login is sent.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod fake;
#[expect(dead_code, reason = "other tests push indexes")]
mod support;

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use fake::{Fake, METHOD};
use metal_image::{
    AllowList, Digest, Logins, Name, Opener, Registries, Resolver, Store, Tree, Trees, Wanted,
    registry::Config,
    store::{Account, Puller},
    testing::archive,
    tree::{self, Error, Limits},
};
use serde_json::json;
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use support::{OCI_MANIFEST, TestRegistry};
use tokio_util::sync::CancellationToken;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const USER: &str = "somebody";
const PASSWORD: &str = "open sesame";
/// bcrypt of the password.
const HTPASSWD: &str = "somebody:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";
/// `Basic` of user and password.
const BASIC: &str = "Basic c29tZWJvZHk6b3BlbiBzZXNhbWU=";

#[tokio::test]
async fn a_real_registry_gives_its_image_to_who_has_the_login_and_to_nobody_else() {
    let (registry, layer) = (registry().await, archive(&[("disk/a", b"content")]));
    registry.push_image("os", "1", OCI_MANIFEST, &[(LAYER, &layer)]).await;
    let dir = tempfile::tempdir().unwrap();
    let trees = open(dir.path()).await;
    let image = registry.image("os:1");
    let cases = [
        (Logins::default(), "LoginNeeded"),
        (logins(&registry.address, "wrong hunter2"), "LoginRefused"),
        (logins("ghcr.io", PASSWORD), "LoginNeeded"),
    ];
    for (logins, reason) in cases {
        let error = pull(&trees, &wanted(&image, "a", "1"), &logins).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.is_refusal() && !error.is_transient());
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let right = logins(&registry.address, PASSWORD);
    let tree = pull(&trees, &wanted(&image, "a", "1"), &right).await.unwrap();
    assert!(tree.find("a").is_some());
}

#[tokio::test]
async fn a_layer_that_one_has_had_fetched_is_no_others_before_the_registry_gives_it_to_him() {
    let (registry, layer) = (registry().await, archive(&[("disk/a", b"content")]));
    registry.push_image("os", "1", OCI_MANIFEST, &[(LAYER, &layer)]).await;
    let dir = tempfile::tempdir().unwrap();
    let registries = Arc::new(Registries::new(&Config::default()).unwrap());
    let resolver = Resolver::new(Arc::clone(&registries), AllowList::any());
    let store = Store::open_dir(dir.path(), 1 << 20, registries, CancellationToken::new());
    let (store, account) = (store.await.unwrap(), Account::of("org"));
    let (image, digest) = (registry.image("os:1"), Digest::of(&layer));
    let name: Name = image.strip_suffix(":1").unwrap().parse().unwrap();
    let finds = async |logins: &Logins| resolver.resolve_as(&image, "amd64", logins).await.is_ok();
    let opens = async |logins: &Logins| {
        let puller = Puller { logins, account: &account };
        let opened = store.open_with(&name, &digest, puller).await;
        opened.map(|blob| blob.size()).map_err(|error| error.to_string())
    };
    let right = logins(&registry.address, PASSWORD);
    let others = [Logins::default(), logins(&registry.address, "wrong hunter2")];
    assert!(finds(&right).await);
    assert_eq!(opens(&right).await, Ok(layer.len() as u64));
    for other in &others {
        assert!(!finds(other).await, "what one has read is no answer for another");
        let refused = opens(other).await.unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
    // The same logins from another Secret.
    assert!(opens(&logins(&registry.address, PASSWORD)).await.is_ok());
    store.closed().await;
    // Without the registry: whoever was given it has it, and nobody else does.
    drop(registry);
    assert!(opens(&right).await.is_ok());
    for other in &others {
        assert!(opens(other).await.is_err());
    }
}

#[tokio::test]
async fn an_image_that_one_has_opened_is_no_others_before_it_was_given_to_him() {
    let (registry, layer) = (registry().await, archive(&[("disk/a", b"content")]));
    registry.push_image("os", "1", OCI_MANIFEST, &[(LAYER, &layer)]).await;
    let dir = tempfile::tempdir().unwrap();
    let image = registry.image("os:1");
    let (right, wrong) = (logins(&registry.address, PASSWORD), logins(&registry.address, "wrong"));
    let (ours, theirs) = (wanted(&image, "ours", "1"), wanted(&image, "theirs", "1"));
    let trees = open(dir.path()).await;
    let tree = pull(&trees, &ours, &right).await.unwrap();
    for _ in 0..2 {
        assert_eq!(pull(&trees, &theirs, &wrong).await.unwrap_err().reason(), "LoginRefused");
        assert!(trees.known(&theirs).await.is_none());
    }
    assert!(trees.known(&wanted(&image, "", "")).await.is_none(), "nor is it anybody's");
    assert!(trees.known(&wanted(&image, "ours", "2")).await.is_none(), "the Secret has changed");
    let same = pull(&trees, &theirs, &right).await.unwrap();
    assert!(Arc::ptr_eq(&tree, &same), "it is fetched once for all who may have it");
    trees.closed().await;
    drop((trees, registry));

    // Without the registry, after a restart, it is theirs who have opened it.
    let trees = open(dir.path()).await;
    assert!(trees.known(&ours).await.is_some() && trees.known(&theirs).await.is_some());
    for stranger in
        [wanted(&image, "ours", "2"), wanted(&image, "other", "1"), wanted(&image, "", "")]
    {
        assert!(trees.known(&stranger).await.is_none(), "{stranger:?}");
    }
    let names = fs::read_to_string(dir.path().join("images/references.json")).unwrap();
    assert!(names.contains("ours") && !names.contains("sesame"), "{names}");
}

#[tokio::test]
async fn a_manifest_alone_opens_no_layers_that_others_have_fetched() {
    let (registry, layer) = (registry().await, archive(&[("disk/a", b"content")]));
    registry.push_image("os", "1", OCI_MANIFEST, &[(LAYER, &layer)]).await;
    let dir = tempfile::tempdir().unwrap();
    let trees = open(dir.path()).await;
    let right = logins(&registry.address, PASSWORD);
    pull(&trees, &wanted(&registry.image("os:1"), "ours", "1"), &right).await.unwrap();
    // Somebody knows the manifest, and has a registry of his own.
    let url = format!("http://{}/v2/os/manifests/1", registry.address);
    let asked = support::client().get(url).basic_auth(USER, Some(PASSWORD));
    let manifest = asked.header("accept", OCI_MANIFEST).send().await.unwrap().text().await.unwrap();
    let theirs = Fake::start(move |path, _| {
        if path.contains("/manifests/") {
            return ([(header::CONTENT_TYPE, OCI_MANIFEST)], manifest.clone()).into_response();
        }
        StatusCode::NOT_FOUND.into_response()
    })
    .await;
    let image = wanted(&format!("{}:1", theirs.name), "", "");
    let error = pull(&trees, &image, &Logins::default()).await.unwrap_err();
    assert!(error.to_string().contains("has no blob"), "{error}");
    assert!(trees.known(&image).await.is_none());

    // Nor is what was left of a download given away.
    let left = dir.path().join("elsewhere");
    fs::create_dir_all(left.join("layers")).unwrap();
    let digest = Digest::of(&layer);
    fs::write(left.join(format!("layers/sha256-{}.1", digest.hex())), &layer).unwrap();
    let error = pull(&open(&left).await, &image, &Logins::default()).await.unwrap_err();
    assert!(error.to_string().contains("has no blob"), "{error}");
}

#[tokio::test]
async fn a_registry_whose_store_answers_no_head_gives_what_is_there_to_another_one() {
    let fake = Fake::start(|path, headers| {
        let is_head = headers.get(METHOD).is_some_and(|method| method == "HEAD");
        if is_head { StatusCode::FORBIDDEN.into_response() } else { content(path) }
    })
    .await;
    let (dir, image) = (tempfile::tempdir().unwrap(), format!("{}:1", fake.name));
    let trees = open(dir.path()).await;
    for opener in ["a", "b"] {
        pull(&trees, &wanted(&image, opener, "1"), &Logins::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_login_is_sent_to_a_token_service_at_the_host_that_it_is_for() {
    let fake = Fake::start(|path, headers| match path {
        path if path.starts_with("/token?") && shows(headers, BASIC) => {
            r#"{"token":"granted","expires_in":300}"#.into_response()
        }
        path if path.starts_with("/token?") => StatusCode::UNAUTHORIZED.into_response(),
        path if shows(headers, "Bearer granted") => content(path),
        _ => challenge(r#"Bearer realm="/token",service="s""#),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (trees, image) = (open(dir.path()).await, wanted(&format!("{}:1", fake.name), "a", "1"));
    let error = pull(&trees, &image, &logins(&fake.address, "wrong")).await.unwrap_err();
    assert_eq!(error.reason(), "LoginRefused", "{error}");
    pull(&trees, &image, &logins(&fake.address, PASSWORD)).await.unwrap();
    // A token is for the login that it was given for.
    let error = pull(&trees, &image, &logins(&fake.address, "wrong")).await.unwrap_err();
    assert_eq!(error.reason(), "LoginRefused", "{error}");
    assert!(fake.asked().iter().any(|path| path.contains("scope=repository%3Aos%3Apull")));
}

#[tokio::test]
async fn a_registry_does_not_get_a_login_sent_elsewhere() {
    let elsewhere = Fake::start(|_, headers| {
        let token = r#"{"token":"granted"}"#.into_response();
        if shows(headers, BASIC) { token } else { StatusCode::UNAUTHORIZED.into_response() }
    })
    .await;
    let scope = "repository:private:pull";
    let realm = format!(r#"Bearer realm="http://{}/token",scope="{scope}""#, elsewhere.address);
    let fake = Fake::start(move |path, headers| {
        if shows(headers, "Bearer granted") { content(path) } else { challenge(&realm) }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (trees, image) = (open(dir.path()).await, wanted(&format!("{}:1", fake.name), "a", "1"));
    let ours = logins(&fake.address, "another");
    let error = pull(&trees, &image, &ours).await.unwrap_err();
    assert_eq!(error.reason(), "LoginMissing", "{error}");
    let hint = format!("add a login for {}", elsewhere.address);
    assert!(error.to_string().contains(&hint), "{error}");
    assert_eq!(elsewhere.asked(), [""; 0]);
    for (password, is_fine) in [("wrong", false), (PASSWORD, true)] {
        let both = Logins::joined([ours.clone(), logins(&elsewhere.address, password)]);
        assert_eq!(pull(&trees, &image, &both).await.is_ok(), is_fine, "one of its own there");
    }
    assert_eq!(elsewhere.asked(), ["/token?scope=repository%3Aos%3Apull"; 2], "for nothing else");
}

#[tokio::test]
async fn the_scope_that_the_registry_names_is_asked_for() {
    let fake = Fake::start(|path, headers| match path {
        "/token?scope=repository%3Aremote%2Flibrary%2Fos%3Apull&service=s" => {
            r#"{"token":"granted","expires_in":300}"#.into_response()
        }
        path if path.starts_with("/token?") => StatusCode::UNAUTHORIZED.into_response(),
        path if shows(headers, "Bearer granted") => content(path),
        _ => challenge(
            r#"Bearer realm="/token",service="s",scope="repository:remote/library/os:pull,push""#,
        ),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (trees, image) = (open(dir.path()).await, wanted(&format!("{}:1", fake.name), "a", "1"));
    pull(&trees, &image, &Logins::default()).await.unwrap();
}

/// RFC 9110, section 11.6.1.
#[tokio::test]
async fn a_challenge_that_cannot_be_used_does_not_cost_the_other_one() {
    let fake = Fake::start(|path, headers| match path {
        path if shows(headers, BASIC) => content(path),
        _ => challenge("Bearer, Basic realm=x"),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let image = wanted(&format!("{}:1", fake.name), "a", "1");
    pull(&open(dir.path()).await, &image, &logins(&fake.address, PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn a_login_follows_no_redirect_and_no_challenge_after_one() {
    let storage = Fake::start(|_, headers| {
        assert_eq!(headers.get(header::AUTHORIZATION), None);
        layer().into_response()
    })
    .await;
    let to = format!("http://{}/blob", storage.address);
    let fake = Fake::start(move |path, headers| match path {
        _ if !shows(headers, BASIC) => challenge("Basic realm=x"),
        path if path.contains("/blobs/") => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.clone())]).into_response()
        }
        path => content(path),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let trees = open(dir.path()).await;
    let image = wanted(&format!("{}:1", fake.name), "a", "1");
    pull(&trees, &image, &logins(&fake.address, PASSWORD)).await.unwrap();
    assert!(!storage.asked().is_empty());

    let greedy = Fake::start(|_, headers| {
        assert_eq!(headers.get(header::AUTHORIZATION), None);
        challenge("Basic realm=x")
    })
    .await;
    let to = format!("http://{}/", greedy.address);
    let leading = Fake::start(move |_, _| {
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to.clone())]).into_response()
    })
    .await;
    let image = wanted(&format!("{}:1", leading.name), "a", "1");
    let error = pull(&trees, &image, &logins(&leading.address, PASSWORD)).await.unwrap_err();
    assert_eq!(error.reason(), "LoginRefused", "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_however_many_images_are_asked_for() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let fake = Fake::start(move |path, headers| {
        let times = usize::from(headers.contains_key(header::AUTHORIZATION));
        count.fetch_add(times, Ordering::Relaxed);
        if path.contains("public") { content(path) } else { challenge("Basic realm=x") }
    })
    .await;
    let (resolver, wrong) = (resolver(), logins(&fake.address, "wrong"));
    let images: Vec<_> = (0..16).map(|number| format!("{}/os-{number}:1", fake.address)).collect();
    let asked = images.iter().map(|image| resolver.resolve_as(image, "amd64", &wrong));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.unwrap_err().reason(), "LoginRefused");
    }
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    let public = format!("{}/public:1", fake.address);
    assert!(resolver.resolve_as(&public, "amd64", &wrong).await.is_ok(), "it needs no login");
}

#[tokio::test]
async fn a_right_login_that_one_repository_refuses_is_good_for_others() {
    let fake = Fake::start(|path, headers| match path {
        path if path.starts_with("/token?") && shows(headers, BASIC) => {
            r#"{"token":"granted","expires_in":300}"#.into_response()
        }
        path if path.contains("/fine/") && shows(headers, "Bearer granted") => content(path),
        _ => challenge(r#"Bearer realm="/token",service="s""#),
    })
    .await;
    let (resolver, right) = (resolver(), logins(&fake.address, PASSWORD));
    for (image, is_there) in [("other:1", false), ("fine:1", true), ("other:2", false)] {
        let image = format!("{}/{image}", fake.address);
        let found = resolver.resolve_as(&image, "amd64", &right).await;
        assert_eq!(found.is_ok(), is_there, "{image}");
    }
    let tokens = fake.asked().into_iter().filter(|path| path.starts_with("/token?"));
    assert_eq!(tokens.count(), 2, "the refused repository rests");
}

fn shows(headers: &HeaderMap, proof: &str) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|it| it == proof)
}

fn challenge(text: &str) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, text.to_owned())]).into_response()
}

fn layer() -> Vec<u8> {
    archive(&[("disk/a", b"content")])
}

/// The manifest of an image, or its layer.
fn content(path: &str) -> Response {
    if path.contains("/blobs/") {
        return layer().into_response();
    }
    let (digest, size) = (Digest::of(&layer()).to_string(), layer().len());
    let layers = [json!({ "mediaType": LAYER, "digest": digest, "size": size })];
    let manifest = json!({ "mediaType": OCI_MANIFEST, "layers": layers }).to_string();
    ([(header::CONTENT_TYPE, OCI_MANIFEST)], manifest).into_response()
}

fn resolver() -> Resolver {
    let registries = Arc::new(Registries::new(&Config::default()).unwrap());
    Resolver::new(registries, AllowList::any())
}

async fn registry() -> TestRegistry {
    TestRegistry::start_for(Some((USER, PASSWORD, HTPASSWD))).await
}

fn logins(host: &str, password: &str) -> Logins {
    let login = json!({ "username": USER, "password": password });
    let password = json!({ "auths": { host: login } });
    Logins::parse(password.to_string().as_bytes()).unwrap()
}

fn wanted(image: &str, opener: &str, version: &str) -> Wanted {
    Wanted {
        image: image.parse().unwrap(),
        architecture: "amd64".to_owned(),
        opener: Opener { name: opener.to_owned(), version: version.to_owned() },
    }
}

async fn pull(trees: &Trees, wanted: &Wanted, logins: &Logins) -> Result<Arc<Tree>, Error> {
    let resolved = trees.resolve(wanted, logins).await?;
    trees.pull(wanted, &resolved).await
}

async fn open(dir: &Path) -> Trees {
    let registries = Arc::new(Registries::new(&Config::default()).unwrap());
    let config = tree::Config {
        dir: dir.to_owned(),
        limit: 1 << 20,
        kept: 1 << 20,
        limits: Limits::default(),
    };
    Trees::open(config, registries, AllowList::any(), CancellationToken::new()).await.unwrap()
}
