//! Configurations of FeDHCP: the main file, and one that every plugin is given, behind a line `---`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_dhcp::config::Config;
use metal_fedhcp::{File, Main, TargetPaths, convert};
use std::sync::LazyLock;

static PLACES: LazyLock<TargetPaths> = LazyLock::new(|| TargetPaths {
    interfaces: vec!["eth0".to_owned()],
    subnets: ["10.0.0.0/24=10.0.0.10-10.0.0.20", "fd00::/64"].map(|it| it.parse().unwrap()).into(),
});

fuzz_target!(|text: &str| {
    let (main, other) = text.split_once("\n---\n").unwrap_or((text, ""));
    let main = match Main::parse("config.yaml", main) {
        Ok(main) => main,
        Err(error) => return assert!(error.to_string().starts_with("config.yaml: ")),
    };
    let file = |name: &str| File { name: name.to_owned(), text: other.to_owned() };
    let files: Vec<_> = main.files().into_iter().map(file).collect();
    for places in [&TargetPaths::default(), &*PLACES] {
        match convert(&main, &files, places) {
            Ok(conversion) => drop(Config::parse(&conversion.yaml).unwrap()),
            Err(error) => assert!(error.to_string().contains(": ")),
        }
    }
});
