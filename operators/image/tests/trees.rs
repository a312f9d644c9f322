//! Images as folders, from a real registry.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use flate2::{Compression, write::GzEncoder};
use futures::TryStreamExt;
use http::{HeaderMap, Method};
use metal_image::{
    AllowList, Logins, Opener, Reference, Registries, Trees, Wanted, registry, respond,
    testing::archive,
    tree::{Config, Error, Limits},
};
use std::{collections::BTreeSet, fs, io::Write, path::Path, sync::Arc};
use support::{OCI_INDEX, OCI_MANIFEST, TestRegistry};
use tokio_util::sync::CancellationToken;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[tokio::test]
async fn an_image_is_fetched_once_and_is_there_without_its_registry() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let image = push(&registry, "os", "1", b"one").await;
    let trees = open(dir.path()).await;
    assert!(trees.known(&wanted(&image, "amd64")).await.is_none());
    let it = wanted(&image, "amd64");
    let resolved = trees.resolve(&it, &Logins::default()).await.unwrap();
    let (first, second) = tokio::join!(trees.pull(&it, &resolved), trees.pull(&it, &resolved));
    assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()), "fetched once for both");
    assert_eq!(read(&trees, &image, "a").await, b"one");
    trees.closed().await;
    drop((trees, registry));

    // Another process starts, after one was killed while unpacking another image.
    let part = dir.path().join("images").join(format!("sha256-{}.part", "0".repeat(64)));
    fs::create_dir(&part).unwrap();
    fs::write(part.join("0"), b"half").unwrap();
    let trees = open(dir.path()).await;
    assert_eq!(read(&trees, &image, "a").await, b"one");
    assert!(!part.exists());
    assert!(
        trees
            .resolve(&wanted(&image, "amd64"), &Logins::default())
            .await
            .unwrap_err()
            .is_transient()
    );
}

#[tokio::test]
async fn a_tag_that_moves_leads_to_the_new_image_and_the_old_one_goes_later() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let image = push(&registry, "os", "1", b"one").await;
    let trees = open(dir.path()).await;
    pull(&trees, &image, "amd64").await.unwrap();
    let old = trees.known(&wanted(&image, "amd64")).await.unwrap().dir().to_owned();
    push(&registry, "os", "1", b"two").await;
    pull(&trees, &image, "amd64").await.unwrap();
    assert_eq!(read(&trees, &image, "a").await, b"two");
    let kept = BTreeSet::from([wanted(&image, "amd64")]);
    assert_eq!(trees.sweep(&kept).await.unwrap(), 0, "somebody may be in the middle of it");
    assert!(old.exists());
    assert_eq!(trees.sweep(&kept).await.unwrap(), 1);
    assert!(!old.exists());
    assert_eq!(read(&trees, &image, "a").await, b"two");
    // An image that is no longer wanted is removed, too.
    for count in [0, 1] {
        assert_eq!(trees.sweep(&BTreeSet::new()).await.unwrap(), count);
    }
    assert!(trees.known(&wanted(&image, "amd64")).await.is_none());
}

#[tokio::test]
async fn an_image_that_somebody_serves_stays_although_its_tag_has_moved() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let image = push(&registry, "os", "1", b"one").await;
    let trees = open(dir.path()).await;
    let served = pull(&trees, &image, "amd64").await.unwrap();
    push(&registry, "os", "1", b"of no use").await;
    pull(&trees, &image, "amd64").await.unwrap();
    let kept = BTreeSet::from([wanted(&image, "amd64")]);
    for _ in 0..3 {
        assert_eq!(trees.sweep(&kept).await.unwrap(), 0);
    }
    assert!(served.dir().exists());
    drop(served);
    for count in [0, 1] {
        assert_eq!(trees.sweep(&kept).await.unwrap(), count);
    }
}

#[tokio::test]
async fn an_image_that_does_not_fit_is_refused_before_it_is_fetched_until_others_make_room() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let trees = open_with(dir.path(), 42_000).await;
    let [small, large] = [("small", 12_000), ("large", 30_000)]
        .map(|(name, size)| (name, archive(&[("disk/a", "x".repeat(size).as_bytes())])));
    let small = push_layer(&registry, small.0, &small.1).await;
    let large = push_layer(&registry, large.0, &large.1).await;
    trees.want(&[&small, &large].map(|image| wanted(image, "amd64")).into());
    let old = pull(&trees, &small, "amd64").await.unwrap().dir().to_owned();
    let layers = fs::read_dir(dir.path().join("layers")).unwrap().count();
    let error = pull(&trees, &large, "amd64").await.unwrap_err();
    assert!(matches!(error, Error::NoRoom { kept: 12_288, limit: 42_000, .. }), "{error}");
    assert_eq!((error.reason(), error.is_transient()), ("CacheFull", false));
    assert_eq!(fs::read_dir(dir.path().join("layers")).unwrap().count(), layers);
    assert!(old.exists(), "a Machine needs it");
    // Whoever named it names the other one now.
    trees.want(&[wanted(&large, "amd64")].into());
    pull(&trees, &large, "amd64").await.unwrap();
    assert!(!old.exists());
    assert!(trees.known(&wanted(&small, "amd64")).await.is_none());
}

#[tokio::test]
async fn an_image_that_is_larger_than_its_layers_say_leaves_nothing_behind() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let trees = open_with(dir.path(), 20_000).await;
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    gzip.write_all(&archive(&[("disk/a", "x".repeat(30_000).as_bytes())])).unwrap();
    let image = push_layer(&registry, "os", &gzip.finish().unwrap()).await;
    let mut told = vec![];
    for _ in 0..2 {
        let error = pull(&trees, &image, "amd64").await.unwrap_err();
        let expected = matches!(error, Error::NoRoom { size: 20_001.., kept: 0, limit: 20_000 });
        assert!(expected, "{error}");
        told.push(error.to_string());
    }
    assert_eq!(told[0], told[1], "it is known before it is fetched again");
    assert_eq!(fs::read_dir(dir.path().join("images")).unwrap().count(), 0);
}

#[tokio::test]
async fn each_architecture_has_its_image_and_a_digest_names_one() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut images = vec![];
    for (architecture, content) in [("amd64", b"x86"), ("arm64", b"arm")] {
        let layer = archive(&[("disk/a", content)]);
        let layers = [(LAYER, layer.as_slice())];
        images.push((
            architecture,
            registry.push_image("os", architecture, OCI_MANIFEST, &layers).await,
        ));
    }
    let images: Vec<_> = images.iter().map(|(name, digest)| (*name, digest)).collect();
    let index = registry.push_index("os", "1", OCI_INDEX, &images).await;
    let trees = open(dir.path()).await;
    for name in [registry.image("os:1"), registry.image(&format!("os@{index}"))] {
        let image: Reference = name.parse().unwrap();
        for (architecture, digest) in &images {
            let tree = pull(&trees, &image, architecture).await.unwrap();
            assert_eq!(tree.digest(), *digest);
        }
        let error =
            trees.resolve(&wanted(&image, "riscv64"), &Logins::default()).await.unwrap_err();
        assert_eq!(error.reason(), "ArchitectureMissing", "{error}");
    }
}

#[tokio::test]
async fn an_image_that_is_no_folder_leaves_nothing_behind() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let layers: [(&str, &[u8]); 1] = [(LAYER, &archive(&[("etc/a", b"a")]))];
    registry.push_image("os", "1", OCI_MANIFEST, &layers).await;
    let trees = open(dir.path()).await;
    let image = registry.image("os:1").parse().unwrap();
    let error = pull(&trees, &image, "amd64").await.unwrap_err();
    assert!(matches!(error, Error::NoDisk) && !error.is_transient());
    assert_eq!(fs::read_dir(dir.path().join("images")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_was_cut_is_fetched_again() {
    let registry = TestRegistry::start().await;
    let dir = tempfile::tempdir().unwrap();
    let image = push(&registry, "os", "1", b"whole").await;
    let trees = open(dir.path()).await;
    let tree = pull(&trees, &image, "amd64").await.unwrap();
    let file = tree.dir().join(tree.find("a").unwrap().name());
    trees.closed().await;
    drop(trees);
    fs::write(file, b"cut").unwrap();
    let trees = open(dir.path()).await;
    assert!(trees.known(&wanted(&image, "amd64")).await.is_none());
    pull(&trees, &image, "amd64").await.unwrap();
    assert_eq!(read(&trees, &image, "a").await, b"whole");
}

#[tokio::test]
async fn a_bit_that_flips_on_the_disk_is_found_before_it_is_served() {
    let registry = TestRegistry::start().await;
    for victim in ["0", "index.json", "sums.json"] {
        let dir = tempfile::tempdir().unwrap();
        let image = push(&registry, "os", "1", b"right").await;
        let trees = open(dir.path()).await;
        let tree = pull(&trees, &image, "amd64").await.unwrap();
        let file = tree.dir().join(victim);
        trees.closed().await;
        drop(trees);
        let mut content = fs::read(&file).unwrap();
        // Of the same size, and of JSON still some.
        let at = content.iter().position(u8::is_ascii_lowercase).unwrap();
        content[at] ^= 1;
        fs::write(&file, content).unwrap();
        let trees = open(dir.path()).await;
        assert!(trees.known(&wanted(&image, "amd64")).await.is_none(), "{victim}");
        pull(&trees, &image, "amd64").await.unwrap();
        assert_eq!(read(&trees, &image, "a").await, b"right", "{victim}");
        trees.closed().await;
        drop(trees);
        // What was not changed is not fetched again.
        let trees = open(dir.path()).await;
        assert!(trees.known(&wanted(&image, "amd64")).await.is_some(), "{victim}");
    }
}

async fn pull(
    trees: &Trees,
    image: &Reference,
    architecture: &str,
) -> Result<Arc<metal_image::Tree>, Error> {
    let wanted = wanted(image, architecture);
    let resolved = trees.resolve(&wanted, &Logins::default()).await?;
    trees.pull(&wanted, &resolved).await
}

fn wanted(image: &Reference, architecture: &str) -> Wanted {
    let (image, architecture) = (image.clone(), architecture.to_owned());
    Wanted { image, architecture, opener: Opener::default() }
}

async fn read(trees: &Trees, image: &Reference, path: &str) -> Vec<u8> {
    let tree = trees.known(&wanted(image, "amd64")).await.unwrap();
    let file = tree.open(tree.find(path).unwrap()).await.unwrap();
    let response = respond(&Method::GET, &HeaderMap::new(), &file, "text/plain");
    response.into_body().map_ok(|it| it.to_vec()).try_concat().await.unwrap()
}

async fn push(registry: &TestRegistry, repository: &str, tag: &str, content: &[u8]) -> Reference {
    let layer = archive(&[("disk/a", content)]);
    registry.push_image(repository, tag, OCI_MANIFEST, &[(LAYER, layer.as_slice())]).await;
    registry.image(&format!("{repository}:{tag}")).parse().unwrap()
}

async fn push_layer(registry: &TestRegistry, repository: &str, layer: &[u8]) -> Reference {
    registry.push_image(repository, "1", OCI_MANIFEST, &[(LAYER, layer)]).await;
    registry.image(&format!("{repository}:1")).parse().unwrap()
}

async fn open(dir: &Path) -> Trees {
    open_with(dir, 1 << 20).await
}

async fn open_with(dir: &Path, kept: u64) -> Trees {
    let registries = Arc::new(Registries::new(&registry::Config::default()).unwrap());
    let config = Config { dir: dir.to_owned(), limit: 1 << 20, kept, limits: Limits::default() };
    Trees::open(config, registries, AllowList::any(), CancellationToken::new()).await.unwrap()
}
