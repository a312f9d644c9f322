//! YAML: what was read is read again from its JSON, which is YAML as well, and no value is told.
#![no_main]

use bloomery_fuzz::{grown, measure, same, told};
use libfuzzer_sys::fuzz_target;
use metal_text::yaml::{LeadingZero, read};
use serde_json::Value;

/// What aliases may add.
const REPLAYED: usize = 200_000;
/// From this many characters on, with its quotes, the parser asks for a `?` before the name of a field.
/// YAML has this limit for block mappings (YAML 1.2.2, section 8.2.2), and not for what JSON has.
const NAME: usize = 1024;
/// What no error may show, but as the name of a field.
const SECRET: &str = "hunter2";

fuzz_target!(|text: &str| {
    let text = grown(text);
    match read::<Value>(&text, LeadingZero::Decimal) {
        Ok(value) => {
            let (values, ..) = measure(&value);
            assert!(values <= 2 * (text.len() + 1 + REPLAYED), "{values} values");
            let printed = value.to_string();
            match read::<Value>(&printed, LeadingZero::Decimal) {
                Ok(again) => assert!(same(&again, &value), "{printed} {again}"),
                Err(error) => assert!(longest_name(&value) >= NAME, "{printed} {error}"),
            }
        }
        Err(error) => {
            let error = error.to_string();
            told(&error, 400);
            assert!(!error.contains(SECRET) || error.contains("mapping key"), "{error}");
        }
    }
});

/// How many characters the longest name of a field takes.
fn longest_name(value: &Value) -> usize {
    let longest = |(name, value): (&String, &Value)| {
        Value::from(name.as_str()).to_string().chars().count().max(longest_name(value))
    };
    match value {
        Value::Array(list) => list.iter().map(longest_name).max().unwrap_or_default(),
        Value::Object(fields) => fields.iter().map(longest).max().unwrap_or_default(),
        _ => 0,
    }
}
