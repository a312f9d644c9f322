//! Which image of an index boots: indexes as tools write them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod fake;

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use fake::Fake;
use metal_image::{
    AllowList, Digest, Image, Registries, Resolver, manifest, registry::Config, resolve,
};
use std::sync::Arc;

#[tokio::test]
async fn an_index_as_garden_linux_writes_it_is_resolved() {
    for vocabulary in [0, 1] {
        let types = [manifest::KERNEL[vocabulary], manifest::INITRD[vocabulary]];
        let built = |content: &'static [u8]| image(&[(types[0], content), (types[1], b"initrd")]);
        let uki = image(&[(manifest::UKI[0], b"uki")]);
        let (amd, arm) = (built(b"amd"), built(b"arm"));
        let outer = index(&[
            entry(&uki, &garden_linux("metal-amd64", "amd64")),
            entry(&amd, &garden_linux("metal_pxe-amd64", "amd64")),
            entry(&arm, &garden_linux("metal_pxe-arm64", "arm64")),
        ]);
        let fake = Documents::start(vec![uki, amd, arm], outer).await;
        for (architecture, content) in [("amd64", b"amd"), ("arm64", b"arm")] {
            let found = fake.resolve(architecture).await.unwrap();
            let kernel = found.pxe.as_ref().unwrap().kernel.digest.clone();
            assert_eq!(kernel, Digest::of(content), "{architecture}");
        }
        let found = fake.resolve("amd64").await.unwrap();
        assert_eq!(found.uki.as_ref().unwrap().digest, Digest::of(b"uki"));
        let missing = fake.resolve("riscv64").await.unwrap().pxe.clone().unwrap_err().to_string();
        assert!(missing.ends_with("(has: amd64, arm64)"), "{missing}");
    }
}

#[tokio::test]
async fn an_entry_or_layer_that_says_nothing_sensible_costs_only_itself() {
    let (kernel, initrd) = (layer(manifest::KERNEL[0], b"k"), layer(manifest::INITRD[0], b"i"));
    let digest = Digest::of(b"x");
    let broken = [
        "7".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"mediaType":"a/b","digest":"{digest}"}}"#),
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":-1}}"#),
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":"12"}}"#),
        format!(r#"{{"mediaType":7,"digest":"{digest}","size":1}}"#),
        r#"{"mediaType":"a/b","digest":"blake3:00","size":1}"#.to_owned(),
        r#"{"digest":"sha256:00","digest":"sha256:00","size":1e999}"#.to_owned(),
        format!(r#"{{"mediaType":"{}","digest":"blake3:00","size":1}}"#, manifest::KERNEL[1]),
    ];
    let document = format!(r#"{{"layers":[{kernel},{},{initrd}]}}"#, broken.join(","));
    let good = entry(&document, LINUX);
    for odd in [
        "7".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"digest":"blake3:00"{LINUX}}}"#),
        format!(r#"{{"digest":"sha384:{}"{LINUX}}}"#, "0".repeat(96)),
        entry("a", r#","annotations":{"cname":7}"#),
        entry("a", r#","annotations":"x","mediaType":"a/b""#),
        entry("a", r#","platform":{"architecture":"amd64","os":7}"#),
        entry("a", r#","platform":{"architecture":["amd64"]}"#),
        entry("a", r#","platform":"linux/amd64""#),
        entry("a", r#","digest":"twice""#),
    ] {
        let outer = index(&[odd.clone(), good.clone()]);
        let fake = Documents::start(vec![document.clone()], outer).await;
        let found = fake.resolve("amd64").await.unwrap_or_else(|error| panic!("{odd}: {error}"));
        let pxe = found.pxe.clone().unwrap_or_else(|error| panic!("{odd}: {error}"));
        assert_eq!(pxe.kernel.digest, Digest::of(b"k"), "{odd}");
    }
    let variant = entry(&document, r#","platform":{"architecture":"arm64","variant":8}"#);
    let fake = Documents::start(vec![document.clone()], index(&[variant])).await;
    assert!(fake.resolve("arm64").await.unwrap().pxe.is_ok());
}

#[tokio::test]
async fn what_is_wrong_with_the_one_that_boots_is_told() {
    let outer = index(&[format!(r#"{{"digest":"blake3:00"{LINUX}}}"#)]);
    let error = Documents::start(vec![], outer).await.resolve("amd64").await.unwrap_err();
    assert_eq!((error.reason(), error.is_transient()), ("MalformedManifest", false));
    assert!(error.to_string().contains("digest must be sha256"), "{error}");

    let kernel = r#"{"mediaType":"application/vnd.ironcore.image.kernel","size":1}"#;
    let uki = layer(manifest::UKI[0], b"uki");
    let fake = Documents::start(vec![], format!(r#"{{"layers":[{kernel},{uki}]}}"#)).await;
    let found = fake.resolve("amd64").await.unwrap();
    let error = found.pxe.clone().unwrap_err().to_string();
    assert!(error.starts_with("the kernel layer of the image: "), "{error}");
    assert!(found.uki.is_ok());
}

#[tokio::test]
async fn what_lies_behind_one_entry_does_not_keep_from_the_next() {
    let boots = image(&[(manifest::UKI[0], b"uki")]);
    let inner = index(&[entry(&boots, LINUX)]);
    let artifact = r#"{"blobs":[]}"#.to_owned();
    let mut deep = vec![index(&[])];
    for _ in 0..5 {
        let next = index(&[entry(deep.last().unwrap(), "")]);
        deep.push(next);
    }
    let outer = index(&[
        entry(&artifact, ""),
        entry("gone", ""),
        entry(deep.last().unwrap(), ""),
        entry(&inner, ""),
    ]);
    let documents = [vec![boots, inner, artifact.clone()], deep].concat();
    let fake = Documents::start(documents, outer).await;
    assert_eq!(fake.resolve("amd64").await.unwrap().uki.clone().unwrap().size, 3);
    // If nothing is found, the first failure says why.
    let outer = index(&[entry(&artifact, ""), entry("gone", "")]);
    let error = Documents::start(vec![artifact], outer).await.resolve("amd64").await.unwrap_err();
    assert_eq!(error.reason(), "MalformedManifest", "{error}");
}

#[tokio::test]
async fn the_only_image_of_an_index_is_taken_if_it_does_not_say_what_it_runs_on() {
    let (one, two) = (image(&[(manifest::UKI[0], b"1")]), image(&[(manifest::UKI[0], b"2")]));
    let media_type = r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#;
    let attestation = entry("a", r#","platform":{"architecture":"unknown","os":"unknown"}"#);
    let (silent, other) = (entry(&one, media_type), entry(&two, media_type));
    let inner = index(std::slice::from_ref(&silent));
    let linux = entry(&two, &LINUX.replace("amd64", "arm64"));
    let taken = [
        vec![silent.clone()],
        vec![entry(&one, "")],
        vec![attestation, silent.clone()],
        vec![entry(&inner, "")],
    ];
    let left = [
        vec![silent.clone(), other],
        vec![silent, linux.clone()],
        vec![entry(&inner, ""), linux],
        vec![entry(&inner, ""), entry(&one, "")],
    ];
    let cases = taken.map(|it| (it, true)).into_iter().chain(left.map(|it| (it, false)));
    for (entries, is_taken) in cases {
        let documents = vec![one.clone(), two.clone(), inner.clone()];
        let found =
            Documents::start(documents, index(&entries)).await.resolve("amd64").await.unwrap();
        assert_eq!(found.uki.is_ok(), is_taken, "{entries:?}");
    }
}

#[tokio::test]
async fn a_media_type_has_no_case_and_may_have_parameters() {
    let types = [
        "application/vnd.ironcore.image.uki; version=1",
        "Application/Vnd.IronCore.Image.UKI",
        " application/vnd.ironcore.image.uki ;a=b",
    ];
    for media_type in types {
        let document = image(&[(media_type, b"uki")]);
        let inner = index(&[entry(&document, LINUX)]);
        let list =
            r#","mediaType":"Application/vnd.docker.distribution.manifest.list.v2+json; a=b""#;
        let outer = index(&[entry(&inner, list)]);
        let found =
            Documents::start(vec![document, inner], outer).await.resolve("amd64").await.unwrap();
        assert_eq!(found.uki.clone().unwrap().digest, Digest::of(b"uki"), "{media_type}");
    }
}

#[tokio::test]
async fn indexes_within_indexes_are_followed_to_the_image_of_the_machine() {
    let kernel = |content: &'static [u8]| image(&[(manifest::KERNEL[0], content)]);
    let (amd, arm, windows) = (kernel(b"amd"), kernel(b"arm"), kernel(b"windows"));
    let inner = index(&[
        entry(&windows, r#","platform":{"architecture":"amd64","os":"windows"}"#),
        entry(&arm, r#","platform":{"architecture":"arm64","os":"linux","variant":"v8"}"#),
        entry(&amd, r#","platform":{"architecture":"amd64","os":"linux"}"#),
    ]);
    let attestation = r#","platform":{"architecture":"unknown","os":"unknown"}"#;
    let middle = index(&[entry(&windows, attestation), entry(&inner, "")]);
    let outer =
        index(&[entry(&middle, r#","mediaType":"application/vnd.oci.image.index.v1+json""#)]);
    let fake = Documents::start(vec![amd, arm, windows, inner, middle], outer).await;
    for (architecture, content) in [("amd64", b"amd"), ("arm64", b"arm"), ("arm64/v9", b"arm")] {
        let resolved = fake.resolve(architecture).await;
        let found = resolved.unwrap().pxe.clone();
        // It has a kernel but no initramfs, so this is the image that was meant.
        let text = format!("{found:?}");
        assert!(text.contains("initramfs"), "{text}");
        assert!(
            fake.asked().contains(&format!(
                "/v2/os/manifests/{}",
                Digest::of(content_of(content).as_bytes())
            ))
        );
    }
    let resolved = fake.resolve("riscv64").await.unwrap();
    let missing = resolved.pxe.as_ref().unwrap_err().to_string();
    assert!(missing.ends_with("(has: amd64, arm64)"), "{missing}");
}

#[tokio::test]
async fn indexes_without_end_are_refused() {
    let mut documents = vec![image(&[])];
    for _ in 0..10 {
        documents.push(index(&[entry(documents.last().unwrap(), "")]));
    }
    let outer = documents.last().unwrap().clone();
    let deep = Documents::start(documents, outer).await;
    let wide: Vec<String> =
        (0..40_u8).map(|n| index(&[entry(&image(&[("a", &[n])]), "")])).collect();
    let outer = index(&wide.iter().map(|document| entry(document, "")).collect::<Vec<_>>());
    let wide = Documents::start(wide, outer).await;
    for fake in [deep, wide] {
        let error = fake.resolve("amd64").await.unwrap_err();
        assert!(matches!(error, resolve::Error::Nested { .. }), "{error:?}");
        assert!(fake.asked().len() <= 17, "{}", fake.asked().len());
    }
}

/// The platform of most images.
const LINUX: &str = r#","platform":{"architecture":"amd64","os":"linux"}"#;

/// An entry as Garden Linux's own tool writes it.
fn garden_linux(cname: &str, architecture: &str) -> String {
    format!(
        r#","mediaType":"application/vnd.oci.image.manifest.v1+json","annotations":{{"cname":"{cname}-1592.1","architecture":"{architecture}","feature_set":"base"}},"platform":{{"architecture":"{architecture}","os":"gardenlinux","os.version":"1592.1"}}"#
    )
}

fn content_of(content: &[u8]) -> String {
    image(&[(manifest::KERNEL[0], content)])
}

/// The manifest of an image with these layers.
fn image(layers: &[(&str, &[u8])]) -> String {
    let layers = layers.iter().map(|(media_type, content)| layer(media_type, content));
    format!(r#"{{"layers":[{}]}}"#, layers.collect::<Vec<_>>().join(","))
}

fn layer(media_type: &str, content: &[u8]) -> String {
    let (digest, size) = (Digest::of(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn index(entries: &[String]) -> String {
    format!(r#"{{"manifests":[{}]}}"#, entries.join(","))
}

fn entry(document: &str, rest: &str) -> String {
    format!(r#"{{"digest":"{}","size":1{rest}}}"#, Digest::of(document.as_bytes()))
}

/// A registry with documents by digest, and one by tag.
struct Documents(Fake);

impl Documents {
    async fn start(documents: Vec<String>, tagged: String) -> Self {
        let answer = move |path: &str, _: &HeaderMap| answer(&documents, &tagged, path);
        Self(Fake::start(answer).await)
    }

    async fn resolve(&self, architecture: &str) -> Result<Arc<Image>, resolve::Error> {
        let allowed = AllowList::new([self.0.address.as_str()]).unwrap();
        let registries = Arc::new(Registries::new(&Config::default()).unwrap());
        let image = format!("{}:1", self.0.name);
        Resolver::new(registries, allowed).resolve(&image, architecture).await
    }

    fn asked(&self) -> Vec<String> {
        self.0.asked()
    }
}

fn answer(documents: &[String], tagged: &str, path: &str) -> Response {
    let wanted = path.rsplit('/').next().unwrap();
    let is = |document: &&String| Digest::of(document.as_bytes()).to_string() == wanted;
    match documents.iter().find(is) {
        Some(document) => document.clone().into_response(),
        None if wanted == "1" => tagged.to_owned().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
