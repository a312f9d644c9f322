//! Manifests and indexes: bounded, and whatever is chosen of them is for the machine.
#![no_main]

use bloomery_fuzz::grown;
use libfuzzer_sys::fuzz_target;
use metal_image::{
    Digest,
    architecture::Machine,
    manifest::{Boot, INITRD, KERNEL, Manifest, Platform, SQUASHFS, UKI, choose, last},
    registry::Document,
};
use std::sync::LazyLock;

const MACHINES: [&str; 5] = ["amd64", "amd64/v3", "arm64", "arm64/v9", "riscv64"];
/// What stands for more entries than are taken.
const MANY: &str = "!!";

static ENTRIES: LazyLock<String> = LazyLock::new(|| {
    let digest = Digest::of(b"");
    vec![format!(r#"{{"mediaType":"a","size":1,"digest":"{digest}"}}"#); 1025].join(",")
});

fuzz_target!(|text: &str| {
    let (content_type, text) = text.split_once('\n').unwrap_or(("", text));
    let text = grown(&text.replacen(MANY, &ENTRIES, 1));
    let digest = Digest::of(text.as_bytes());
    let content_type = Some(grown(content_type));
    let bytes = text.into_bytes().into();
    match Manifest::parse(&Document { digest, content_type, bytes }) {
        Ok(Manifest::Index(entries)) => {
            assert!(entries.len() <= 1024);
            for (machine, boot) in
                MACHINES.iter().flat_map(|it| [(it, Boot::Pxe), (it, Boot::Http)])
            {
                let machine = Machine::named(machine);
                let Some(chosen) = choose(&entries, &machine, boot) else { continue };
                assert!(entries.contains(chosen));
                match &chosen.platform {
                    Platform::Of(built) | Platform::Distribution(built) => {
                        assert!(machine.runs(built));
                    }
                    Platform::Open => assert!(chosen.flavor.is_some()),
                    Platform::Foreign => panic!("{chosen:?} boots no machine"),
                }
                if chosen.digest.is_err() && chosen.platform.machine().is_some() {
                    let mut others = entries.iter().filter(|it| it.platform == chosen.platform);
                    assert!(others.all(|entry| entry.digest.is_err()), "another can be fetched");
                }
            }
        }
        Ok(Manifest::Image(layers)) => {
            assert!(layers.len() <= 1024);
            for types in [KERNEL, INITRD, SQUASHFS, UKI] {
                let Some(layer) = last(&layers, types) else { continue };
                assert!(types.contains(&layer.media_type.as_str()));
                match &layer.content {
                    Ok(content) => assert!(content.digest.to_string().parse::<Digest>().is_ok()),
                    Err(error) => bloomery_fuzz::told(&error.to_string(), 800),
                }
            }
        }
        Err(error) => bloomery_fuzz::told(&error.to_string(), 800),
    }
});
