//! Against a real registry: what is pushed is found by architecture and by media type, and
//! served whole and in part.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use futures::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use metal_image::{
    AllowList, Body, Digest, Name, Registries, Resolver, Store,
    manifest::{INITRD, KERNEL, SQUASHFS, UKI},
    registry::Config,
    resolve::{Error, Image, Missing},
    respond,
};
use std::sync::Arc;
use support::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, TestRegistry};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn an_index_is_resolved_by_architecture() {
    let registry = TestRegistry::start().await;
    for (index, manifest) in [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)] {
        let layers = |kernel| [(KERNEL[0], kernel), (INITRD[0], b"initrd".as_slice())];
        let amd64 = registry.push_image("os", "amd64", manifest, &layers(b"k-amd64")).await;
        let arm64 = registry.push_image("os", "arm64", manifest, &layers(b"k-arm64")).await;
        let images = [("amd64", &amd64), ("arm64", &arm64)];
        let digest = registry.push_index("os", "1", index, &images).await;

        for (architecture, kernel) in [("amd64", b"k-amd64"), ("arm64", b"k-arm64")] {
            for version in [":1".to_owned(), format!(":gone@{digest}")] {
                let image =
                    resolve(&registry, &format!("os{version}"), architecture).await.unwrap();
                let pxe = image.pxe.clone().unwrap();
                assert_eq!(pxe.kernel.digest, Digest::of(kernel), "{index} {architecture}");
                assert_eq!((pxe.initrd.digest, pxe.squashfs), (Digest::of(b"initrd"), None));
            }
        }
        let image = resolve(&registry, "os:1", "riscv64").await.unwrap();
        let has = "amd64, arm64".to_owned();
        let missing = Missing::Architecture { architecture: "riscv64".to_owned(), has };
        assert_eq!((image.pxe.clone(), image.uki.clone()), (Err(missing.clone()), Err(missing)));
    }
}

#[tokio::test]
async fn both_vocabularies_and_the_uki_are_understood() {
    let registry = TestRegistry::start().await;
    for vocabulary in [0, 1] {
        let layers: [(&str, &[u8]); 3] =
            [(KERNEL[vocabulary], b"k"), (INITRD[vocabulary], b"i"), (SQUASHFS[vocabulary], b"s")];
        registry.push_image("os", "pxe", OCI_MANIFEST, &layers).await;
        let image = resolve(&registry, "os:pxe", "amd64").await.unwrap();
        let pxe = image.pxe.clone().unwrap();
        let digests = [pxe.kernel.digest, pxe.initrd.digest, pxe.squashfs.unwrap().digest];
        assert_eq!(digests, [b"k", b"i", b"s"].map(|content| Digest::of(content)));
        assert!(image.uki.is_err());
    }
    registry.push_image("os", "uki", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let image = resolve(&registry, "os:uki", "amd64").await.unwrap();
    assert_eq!(image.uki.clone().unwrap().digest, Digest::of(b"uki"));
}

#[tokio::test]
async fn an_image_without_kernel_says_what_it_has() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[("text/plain", b"a"), (UKI[0], b"uki")]).await;
    let image = resolve(&registry, "os:1", "amd64").await.unwrap();
    assert_eq!(
        image.pxe.clone().unwrap_err().to_string(),
        "image has no kernel layer: push one of media type application/vnd.ironcore.image.kernel \
         (has: application/vnd.ironcore.image.uki, text/plain)"
    );
}

#[tokio::test]
async fn an_image_that_is_not_there_is_named() {
    let registry = TestRegistry::start().await;
    let error = resolve(&registry, "os:1", "amd64").await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("ImageNotFound", false));
    let image = registry.image("os");
    let expected = format!("image {image} has no tag or digest 1: check the name, or push it");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_blob_is_fetched_once_and_served_without_its_registry() {
    let registry = TestRegistry::start().await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7).to_le_bytes()[0]).collect();
    let digest = registry.push_blob("os", &content).await;
    let name: Name = registry.image("os").parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path()).await;

    let readers = (0..20).map(|_| async {
        let blob = store.open(&name, &digest).await.unwrap();
        collect(respond(&Method::GET, &HeaderMap::new(), &blob, "application/efi")).await
    });
    for (head, body) in futures::future::join_all(readers).await {
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(body.as_ref(), Ok(&content));
    }
    store.closed().await;
    assert_eq!((store.stats().downloads, store.stats().bytes), (1, 3_000_000));
    drop(registry);

    let blob = store.open(&name, &digest).await.unwrap();
    let whole = respond(&Method::HEAD, &HeaderMap::new(), &blob, "application/efi");
    assert_eq!(whole.headers()[header::CONTENT_LENGTH], "3000000");
    assert_eq!(whole.headers()[header::ACCEPT_RANGES], "bytes");
    assert_eq!(whole.headers()[header::CONTENT_TYPE], "application/efi");
    assert_eq!(whole.headers()[header::ETAG], format!("\"{digest}\""));
    assert_eq!(collect(whole).await.1, Ok(vec![]));

    let cases = [
        ("bytes=1000000-1999999", 206, 1_000_000..2_000_000, "bytes 1000000-1999999/3000000"),
        ("bytes=2999999-", 206, 2_999_999..3_000_000, "bytes 2999999-2999999/3000000"),
        ("bytes=-7", 206, 2_999_993..3_000_000, "bytes 2999993-2999999/3000000"),
        ("bytes=3000000-", 416, 0..0, "bytes */3000000"),
    ];
    for (range, status, bytes, content_range) in cases {
        let request = headers(&[(header::RANGE, range)]);
        let (head, body) = collect(respond(&Method::GET, &request, &blob, "a/b")).await;
        assert_eq!(head.status(), status, "{range}");
        assert_eq!(head.headers()[header::CONTENT_RANGE], content_range);
        assert_eq!(head.headers()[header::CONTENT_LENGTH], bytes.len().to_string().as_str());
        assert_eq!(body.unwrap(), content[bytes], "{range}");
    }

    let etag = format!("\"{digest}\"");
    let known = headers(&[(header::IF_NONE_MATCH, &format!("\"a\", W/{etag}"))]);
    assert_eq!(respond(&Method::GET, &known, &blob, "a/b").status(), StatusCode::NOT_MODIFIED);
    for (tag, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let request = headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, tag)]);
        assert_eq!(respond(&Method::GET, &request, &blob, "a/b").status(), status, "{tag}");
    }
    let head = headers(&[(header::RANGE, "bytes=0-1")]);
    assert_eq!(respond(&Method::HEAD, &head, &blob, "a/b").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_new_process_finds_what_is_complete_and_removes_what_is_not() {
    let registry = TestRegistry::start().await;
    let digest = registry.push_blob("os", b"kernel").await;
    let name: Name = registry.image("os").parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path()).await;
    first.open(&name, &digest).await.unwrap();
    first.closed().await;

    let open = |dir| Store::open_dir(dir, 1 << 20, registries(), CancellationToken::new());
    assert!(open(dir.path()).await.is_err(), "two processes must not share a directory");
    drop(first);
    let part = dir.path().join(format!("sha256-{}.9.part", Digest::of(b"half").hex()));
    std::fs::write(&part, "ha").unwrap();

    let second = open(dir.path()).await.unwrap();
    assert!(!part.exists());
    drop(registry);
    let blob = second.open(&name, &digest).await.unwrap();
    assert_eq!((blob.size(), second.stats().downloads), (6, 0));
}

async fn resolve(
    registry: &TestRegistry,
    image: &str,
    architecture: &str,
) -> Result<Arc<Image>, Error> {
    let allowed = AllowList::new([registry.address.as_str()]).unwrap();
    let resolver = Resolver::new(registries(), allowed);
    resolver.resolve(&registry.image(image), architecture).await
}

fn registries() -> Arc<Registries> {
    Arc::new(Registries::new(&Config::default()).unwrap())
}

async fn store(dir: &std::path::Path) -> Store {
    let shutdown = CancellationToken::new();
    Store::open_dir(dir, 10_000_000, registries(), shutdown).await.unwrap()
}

async fn collect(response: Response<Body>) -> (Response<()>, Result<Vec<u8>, String>) {
    let (head, body) = response.into_parts();
    let pieces: Result<Vec<_>, _> = body.map_err(|e| e.to_string()).try_collect().await;
    (Response::from_parts(head, ()), pieces.map(|pieces| pieces.concat()))
}

fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
    let pair = |(name, value): &(header::HeaderName, &str)| {
        (name.clone(), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}
