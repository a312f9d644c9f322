//! YAML: what was read is read again from its JSON, which is YAML as well, and no value is told.
#![no_main]

use bloomery_fuzz::{grown, measure, same, told};
use libfuzzer_sys::fuzz_target;
use metal_core::yaml::{LeadingZero, read};
use serde_json::Value;

/// What aliases may add.
const REPLAYED: usize = 200_000;
/// What no error may show, but as the name of a field.
const SECRET: &str = "hunter2";

fuzz_target!(|text: &str| {
    let text = grown(text);
    match read::<Value>(&text, LeadingZero::Decimal) {
        Ok(value) => {
            let (values, ..) = measure(&value);
            assert!(values <= 2 * (text.len() + 1 + REPLAYED), "{values} values");
            let printed = value.to_string();
            let again = read::<Value>(&printed, LeadingZero::Decimal);
            assert!(again.as_ref().is_ok_and(|again| same(again, &value)), "{printed} {again:?}");
        }
        Err(error) => {
            let error = error.to_string();
            told(&error, 400);
            assert!(!error.contains(SECRET) || error.contains("mapping key"), "{error}");
        }
    }
});
