//! Configurations of netboot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_core::macdb::MacDb;
use metal_dhcp::{config::Config, lease::Leases};

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Ok(config) => drop(Leases::new(&config)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Err(error) = MacDb::parse(text) {
        assert!(!error.to_string().is_empty());
    }
});
