//! YAML: what was read is read again from its JSON, which is YAML as well, and no value is told.
#![no_main]

use bloomery_fuzz::{grown, measure, same, told};
use libfuzzer_sys::fuzz_target;
use metal_core::fuzzing::yaml;

/// What aliases may add.
const REPLAYED: usize = 200_000;
/// What no error may show, but as the name of a field.
const SECRET: &str = "hunter2";

fuzz_target!(|text: &str| {
    let text = grown(text);
    match yaml(&text) {
        Ok(value) => {
            let (values, ..) = measure(&value);
            assert!(values <= 2 * (text.len() + 1 + REPLAYED), "{values} values");
            let printed = value.to_string();
            let again = yaml(&printed);
            assert!(again.as_ref().is_ok_and(|again| same(again, &value)), "{printed} {again:?}");
        }
        Err(error) => {
            told(&error, 400);
            assert!(!error.contains(SECRET) || error.contains("mapping key"), "{error}");
        }
    }
});
