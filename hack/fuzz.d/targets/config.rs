//! Configurations of netboot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_core::{
    dhcp::{Config, Leases},
    macdb::MacDb,
};

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Ok(config) => drop(Leases::new(&config)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Err(error) = MacDb::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
