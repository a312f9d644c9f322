//! What metalman makes of the templates.

use crate::machines::{Case, cases};
use e2e::namespace::{run, script};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn nothing_is_installed_unless_that_is_due_and_grub_understands_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let grub = PathBuf::from(script("e2e/tests/netboot_image/grub.sh").unwrap());
    for (number, case) in cases().iter().enumerate() {
        let text = case.render("grub/grub.cfg");
        let file = folder.path().join(number.to_string());
        fs::write(&file, &text).unwrap();
        run(Command::new(&grub).arg(&file)).unwrap();
        let said = |words: &str| text.contains(words);
        let is_due = case.installs.is_some();
        for words in ["vmlinuz", "initrd", "bloomery.install=", "/c/"] {
            assert_eq!(said(words), is_due, "{words}: {text}");
        }
        assert_eq!(said("chainloader"), !is_due, "{text}");
        assert_eq!(said(&format!(" bloomery.install={} console=", case.url())), is_due, "{text}");
    }
}

#[test]
fn the_installer_is_told_which_machine_disk_and_interfaces_it_is_for() {
    for case in cases() {
        let told: Value = serde_json::from_str(&case.render("install.json")).unwrap();
        assert_eq!(told["machine"], "node-01.rack-a");
        if let Some(due) = case.installs {
            assert_eq!(told["installation"], format!("u-{due}"));
        }
        assert_eq!(told["mac"].as_array().unwrap().len(), case.leases());
        assert_eq!(told["disk"], json!({ "url": "disk.img", "checksums": "disk.img.sha256" }));
        let pxe = case.machine.spec.pxe.as_ref().unwrap();
        assert_eq!(told["targetDisk"], serde_json::to_value(&pxe.target_disk).unwrap());
        // What stays on the disk is no token of this installation.
        assert_eq!(told["cloudInit"], "http://10.0.0.1:8880/cloud-init/");
        // What makes a node of it stands in no document of cloud-init alone.
        assert_eq!(told["agent"], "agent.json");
        let agent: Value = serde_json::from_str(&case.render("agent.json")).unwrap();
        assert_eq!(agent["MachineName"], "node-01.rack-a");
    }
}

#[test]
fn cloud_init_gets_an_agent_that_joins_and_an_instance_for_each_installation() {
    let id = |case: &Case| yaml(&case.render("cloud-init/meta-data"))["instance-id"].clone();
    for case in cases() {
        let vendor = case.render("cloud-init/vendor-data");
        assert!(vendor.starts_with("#cloud-config\n"), "{vendor}");
        let vendor = yaml(&vendor);
        let file = &vendor["write_files"][0];
        assert_eq!((&file["path"], &file["permissions"]), (&json!(AGENT), &json!("0600")));
        let agent: Value = serde_json::from_str(file["content"].as_str().unwrap()).unwrap();
        assert_eq!(agent["MachineName"], "node-01.rack-a");
        assert_eq!(agent["Attest"]["URL"], case.url());
        // What was written is on the disk before anything depends on it.
        assert_eq!(vendor["runcmd"][0], json!(["sync"]));
        assert!(vendor["runcmd"][1].as_array().unwrap().contains(&json!("metal-agent.service")));
        let meta = yaml(&case.render("cloud-init/meta-data"));
        assert_eq!(meta["local-hostname"], "node-01.rack-a");
        assert_eq!(vendor["prefer_fqdn_over_hostname"], true);
        let network = yaml(&case.render("cloud-init/network-config"));
        let interfaces = network["ethernets"].as_object().unwrap();
        assert_eq!((&network["version"], interfaces.len()), (&json!(2), case.leases()));
    }
    // Until it is installed, a machine that starts from its disk is what it was.
    let of = |cases: &[Case]| cases.iter().map(id).collect::<Vec<_>>();
    let ids = of(&cases()[..4]);
    assert_eq!(
        ids,
        ["node-01.rack-a-0", "node-01.rack-a-3", "node-01.rack-a-3", "node-01.rack-a-3"]
    );
}

const AGENT: &str = "/etc/bloomery/agent.json";
