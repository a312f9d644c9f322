//! Templates of netboot images: rendered within their limits, or refused in few words.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_api::{Machine, MachineSpec};
use metal_machine::provisioning::template::{Variables, render};

fuzz_target!(|template: &[u8]| {
    let machine = Machine::new("node-01", MachineSpec::default());
    let variables = Variables {
        machine: &machine,
        installs: Some(1),
        serve_url: "http://192.0.2.1:8880/c/token",
        apiserver_url: "https://192.0.2.2:6443",
        agent_config_json: "{}",
    };
    match render("grub/grub.cfg.tmpl", template, &variables) {
        Ok(text) => assert!(text.len() <= 1 << 20),
        Err(error) => told(&error.to_string(), 600),
    }
});
