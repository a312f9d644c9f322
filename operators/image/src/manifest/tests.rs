use super::{
    read::{MAX_ENTRIES, MAX_TITLE, MAX_WORD},
    *,
};
use crate::registry::Document;
use serde_json::json;

#[test]
fn shape_decides_what_a_document_is() {
    assert_eq!(parse(r#"{"layers":[]}"#), Ok(Manifest::Image(vec![])));
    assert_eq!(parse(r#"{"manifests":[]}"#), Ok(Manifest::Index(vec![])));
    let shape = Err(MalformedManifest::Shape { content_type: "text/plain".into() });
    assert_eq!(parse(r#"{"manifests":[],"layers":[]}"#), shape);
    assert_eq!(parse("{}"), shape);
    assert!(matches!(parse("[]"), Err(MalformedManifest::Json(_))));
    assert!(matches!(parse(""), Err(MalformedManifest::Json(_))));
}

#[test]
fn a_byte_order_mark_before_a_manifest_is_ignored() {
    let manifest = r#"{"layers":[]}"#;
    assert_eq!(parse(&format!("\u{feff}{manifest}")), parse(manifest));
    assert_eq!(parse(manifest), Ok(Manifest::Image(vec![])));
}

#[test]
fn digests_are_strict() {
    let text = r#"{"layers":[{"mediaType":"a","digest":"sha256:../..","size":1}]}"#;
    let Ok(Manifest::Image(layers)) = parse(text) else { unreachable!() };
    assert!(matches!(layers[0].content, Err(MalformedManifest::Descriptor(_))));
}

#[test]
fn a_layer_is_a_file_if_its_title_is_a_path_in_the_folder_of_the_image() {
    let title = |title: &str| {
        let layer = json!({"annotations": {"org.opencontainers.image.title": title, "a": [1]}});
        let Ok(Manifest::Image(layers)) = parse(&json!({"layers": [layer]}).to_string()) else {
            unreachable!()
        };
        layers[0].title.clone()
    };
    let longest = "a".repeat(MAX_TITLE);
    for file in ["grubx64.efi", "grub/grub.cfg", "two words", "..a", &longest] {
        assert_eq!(title(file).as_deref(), Some(file));
    }
    for other in ["", "/etc/passwd", "../a", "a/../b", "a/./b", "a//b", "a/", "a\\b", "a\nb"] {
        assert_eq!(title(other), None, "{other:?}");
    }
    assert_eq!(title(&(longest + "a")), None);
}

#[test]
fn an_index_without_bound_is_refused() {
    let entry = format!(r#"{{"digest":"{}"}}"#, Digest::of(b"a"));
    let entries = vec![entry; MAX_ENTRIES + 1].join(",");
    assert_eq!(parse(&format!(r#"{{"manifests":[{entries}]}}"#)), Err(MalformedManifest::TooMany));
}

/// A document of megabytes, and as many of them as an index leads to, are not kept.
#[test]
fn no_word_of_a_manifest_is_kept_that_is_longer_than_any() {
    let long = "a".repeat(MAX_WORD + 1);
    let flavor = json!({"cname": long, "architecture": long});
    let entries = [
        json!({"mediaType": long, "annotations": flavor}),
        json!({"platform": {"architecture": long}}),
        json!({"platform": {"architecture": "amd64", "variant": long}}),
    ];
    let Ok(Manifest::Index(entries)) = parse(&json!({"manifests": entries}).to_string()) else {
        unreachable!()
    };
    assert_eq!(entries[0].flavor, None);
    let media_type = entries[0].media_type.as_ref().unwrap();
    assert!(media_type.len() <= MAX_WORD && media_type.starts_with("aaa"), "{media_type}");
    assert!(!entries[0].may_lead_on(), "it is of an unknown type, not of none");
    assert_eq!([&entries[1], &entries[2]].map(|it| &it.platform), [&Platform::Foreign; 2]);
    let longest = "a".repeat(MAX_WORD);
    let layers = json!({"layers": [{"mediaType": long}, {"mediaType": longest}]});
    let Ok(Manifest::Image(layers)) = parse(&layers.to_string()) else { unreachable!() };
    assert!(layers[0].media_type.len() <= MAX_WORD && layers[0].media_type != longest);
    assert_eq!(layers[1].media_type, longest);
}

#[test]
fn the_first_image_of_the_architecture_is_chosen() {
    let entries = [entry(b"a", "arm64", &[]), entry(b"b", "amd64", &[]), entry(b"c", "amd64", &[])];
    for boot in [Boot::Pxe, Boot::Http] {
        assert_eq!(choose(&entries, &machine("amd64"), boot), Some(&entries[1]));
        assert_eq!(choose(&entries, &machine("riscv64"), boot), None);
    }
}

#[test]
fn a_network_boot_flavor_goes_first_for_pxe_only() {
    let flavor = [("cname", "metal_pxe-amd64-1443"), ("architecture", "amd64")];
    let other = [("cname", "metal_pxe-arm64-1443"), ("architecture", "arm64")];
    let entries =
        [entry(b"a", "amd64", &[]), entry(b"b", "amd64", &other), entry(b"c", "amd64", &flavor)];
    assert_eq!(choose(&entries, &machine("amd64"), Boot::Pxe), Some(&entries[2]));
    assert_eq!(choose(&entries, &machine("amd64"), Boot::Http), Some(&entries[0]));
}

#[test]
fn an_entry_for_another_operating_system_is_never_taken() {
    let flavor = r#""annotations":{"cname":"metal_pxe-amd64","architecture":"amd64"}"#;
    let platforms = [
        r#"{"architecture":"amd64","os":"windows"}"#,
        r#"{"architecture":"amd64","os":"unknown"}"#,
        r#"{"architecture":"unknown","os":"unknown"}"#,
        r#"{"architecture":"amd64","os":"freebsd"}"#,
    ];
    for platform in platforms {
        let digest = Digest::of(b"a");
        let entry = format!(r#"{{"digest":"{digest}","platform":{platform},{flavor}}}"#);
        let index = parse(&format!(r#"{{"manifests":[{entry}]}}"#)).unwrap();
        let Manifest::Index(entries) = index else { unreachable!() };
        for boot in [Boot::Pxe, Boot::Http] {
            assert_eq!(choose(&entries, &machine("amd64"), boot), None, "{platform}");
        }
    }
}

#[test]
fn linux_goes_before_the_name_of_a_distribution() {
    let platform = |os: &str| format!(r#"{{"architecture":"amd64"{os}}}"#);
    let digests = [b"a", b"b", b"c"].map(|content| Digest::of(content));
    for (systems, expected) in [
        (["gardenlinux", "linux", "linux"], 1),
        (["windows", "Debian", "flatcar"], 1),
        (["plan9", "talos", " Linux "], 2),
        (["Windows", "wasip1", "bottlerocket"], 2),
    ] {
        let entry = |(os, digest): (&str, &Digest)| {
            let platform = platform(&format!(r#","os":"{os}""#));
            format!(r#"{{"digest":"{digest}","platform":{platform}}}"#)
        };
        let entries: Vec<_> = systems.into_iter().zip(&digests).map(entry).collect();
        let index = parse(&format!(r#"{{"manifests":[{}]}}"#, entries.join(","))).unwrap();
        let Manifest::Index(entries) = index else { unreachable!() };
        for boot in [Boot::Pxe, Boot::Http] {
            let chosen = choose(&entries, &machine("amd64"), boot);
            assert_eq!(chosen, Some(&entries[expected]), "{systems:?}");
        }
    }
}

#[test]
fn of_two_vocabularies_the_later_layer_counts() {
    let layers = [layer(KERNEL[1], b"old"), layer(UKI[0], b"uki"), layer(KERNEL[0], b"new")];
    assert_eq!(last(&layers, KERNEL), Some(&layers[2]));
    assert_eq!(last(&layers[..2], KERNEL), Some(&layers[0]));
    assert_eq!(last(&layers, SQUASHFS), None);
}

fn parse(text: &str) -> Result<Manifest, MalformedManifest> {
    let bytes = text.as_bytes().to_vec().into();
    let content_type = Some("text/plain".to_owned());
    Manifest::parse(&Document { digest: Digest::of(b""), content_type, bytes })
}

fn machine(architecture: &str) -> Machine {
    Machine::new(architecture, None)
}

fn entry(content: &[u8], architecture: &str, annotations: &[(&str, &str)]) -> Entry {
    let value = |name| annotations.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let flavor = value("cname").zip(value("architecture")).map(|(cname, architecture)| Flavor {
        cname: cname.to_owned(),
        architecture: architecture.to_owned(),
    });
    let platform = Platform::Of(machine(architecture));
    Entry { digest: Ok(Digest::of(content)), platform, flavor, media_type: None }
}

fn layer(media_type: &str, content: &[u8]) -> Layer {
    let (digest, media_type) = (Digest::of(content), media_type.to_owned());
    let content = Descriptor { media_type: media_type.clone(), digest, size: 3 };
    Layer { media_type, content: Ok(content), title: None }
}
