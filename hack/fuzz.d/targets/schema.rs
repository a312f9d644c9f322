//! Schemas of images and configurations: checked within their limits, and no value is told.
#![no_main]

use bloomery_fuzz::{grow, grown, told};
use libfuzzer_sys::fuzz_target;
use metal_configuration::{Schema, lines};
use serde_json::Value;

/// What no problem may show; a schema that has it may say so itself.
const SECRET: &str = "hunter2";

fuzz_target!(|text: &str| {
    // The schema, and then the configuration.
    let (schema, configuration) = text.split_once('\u{1}').unwrap_or((text, "{}"));
    let schema = grown(schema);
    let parsed = match Schema::parse(&schema) {
        Ok(parsed) => parsed,
        Err(problem) => return told(&problem.to_string(), 600),
    };
    let Ok(mut value) = serde_json::from_str::<Value>(configuration) else { return };
    grow(&mut value);
    let configuration = value.to_string();
    let problems = parsed.check(&value);
    assert!(problems.len() <= 20);
    assert_eq!(problems, parsed.check(&value), "each time the same");
    for problem in problems {
        // Names of fields are told, and what the schema itself allows.
        let is_told = schema.contains(SECRET) || problem.pointer.contains(SECRET);
        assert!(is_told || !problem.what.contains(SECRET), "{problem}");
        let line = lines::of(&configuration, &problem.pointer);
        assert_eq!(line, Some(1), "{}", problem.pointer);
        told(&problem.at(line).to_string(), 600);
    }
});
