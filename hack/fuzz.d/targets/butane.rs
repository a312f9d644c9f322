//! Butane: what is translated is Ignition that a machine takes, and what is not says where and why.
#![no_main]

use bloomery_fuzz::{grown, told};
use ignition_config::Config;
use libfuzzer_sys::fuzz_target;
use metal_ignition::butane::{Error, translate};
use serde_json::Value;
use std::collections::HashSet;

fuzz_target!(|text: &str| {
    let text = grown(text);
    let translated = translate(&text);
    assert_eq!(translate(&format!("\u{feff}{text}")).is_ok(), translated.is_ok());
    match translated {
        Ok(ignition) => valid(&ignition),
        Err(error) => {
            assert!(!matches!(error, Error::Output(_)), "not found in what was written: {error}");
            told(&error.to_string(), 1200);
            if !matches!(error, Error::Yaml(_) | Error::TooLong | Error::Version { .. }) {
                // Either ends a line, as both together do.
                let lines = text.matches(['\n', '\r']).count() + 1;
                let (at, line) = error.to_string().split_once(": line ").map_or_else(
                    || panic!("{error} does not say where"),
                    |(at, rest)| (at.to_owned(), rest.split(':').next().unwrap().to_owned()),
                );
                assert!(at.starts_with('$') && line.parse::<usize>().unwrap() <= lines, "{error}");
            }
        }
    }
});

fn valid(ignition: &str) {
    let (config, unused) = Config::parse_slice(ignition.as_bytes()).expect("it is Ignition");
    assert!(unused.is_empty(), "{unused:?}");
    let again = serde_json::to_string(&config).expect("it can be written");
    assert!(Config::parse_slice(again.as_bytes()).is_ok_and(|(again, _)| again == config));
    let value: Value = serde_json::from_str(ignition).expect("it is JSON");
    let storage = &value["storage"];
    let mut paths = HashSet::new();
    for kind in ["files", "directories", "links"] {
        for node in storage[kind].as_array().into_iter().flatten() {
            let path = node["path"].as_str().expect("every node has a path");
            assert!(path.starts_with('/') && paths.insert(path), "{path:?}");
            assert!(!path.split('/').any(|part| matches!(part, "." | "..")), "{path:?}");
            assert!(node["mode"].as_u64().is_none_or(|mode| mode <= 0o7777));
            source(&node["contents"]);
            node["append"].as_array().into_iter().flatten().for_each(source);
        }
    }
    let units = value["systemd"]["units"].as_array().into_iter().flatten();
    let names: Vec<_> = units.map(|unit| unit["name"].as_str().expect("a name")).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    source(&value["ignition"]["config"]["replace"]);
}

fn source(resource: &Value) {
    let Some(source) = resource["source"].as_str().filter(|source| !source.is_empty()) else {
        return;
    };
    assert!(source.contains(':') && !source.contains('\n'), "{source:?}");
}
