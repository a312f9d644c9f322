//! What a host decrypts: a configuration that is checked and rendered, or refused without its values.
#![no_main]

use bloomery_fuzz::grown;
use libfuzzer_sys::fuzz_target;
use metal_configuration::{Bundle, Package};
use serde_json::json;
use std::path::{Component, Path};

/// What no error may show.
const SECRET: &str = "hunter2";

fuzz_target!(|text: &str| {
    if let Ok(Some(bundle)) = Bundle::decode(text.as_bytes()) {
        _ = unpacked(&bundle);
    }
    // A template of an image, for a configuration with a secret.
    let template = grown(text);
    let package = Package {
        schema: "{}".to_owned(),
        templates: [("etc/app.conf".to_owned(), template.clone())].into(),
        ..Package::default()
    };
    let configuration = json!({ "name": SECRET, "list": [SECRET, 7], "is": true, "none": null });
    let bundle = Bundle { configuration, package };
    if let Err(error) = unpacked(&bundle) {
        assert!(template.contains(SECRET) || !error.contains(SECRET), "{error}");
    }
});

fn unpacked(bundle: &Bundle) -> Result<(), String> {
    let unpacked = match bundle.unpack() {
        Ok(unpacked) => unpacked,
        Err(error) => {
            let text = error.without_values();
            assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
            return Err(text);
        }
    };
    let size: usize = unpacked.files.values().map(|file| file.text.len()).sum();
    assert!(size <= 4 << 20 && unpacked.files.len() <= 64);
    for path in unpacked.files.keys() {
        let mut parts = Path::new(path).components();
        assert!(parts.all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    }
    Ok(())
}
