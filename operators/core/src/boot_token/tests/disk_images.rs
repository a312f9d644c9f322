//! Tokens whose machine gets a disk image as it is.

use super::*;
use crate::boot_token::{
    installer::{Source, source},
    order::order,
};
use metal_api::{
    BootInstallerKind, MachineTargetDisk,
    installation::{InstallPhase, InstallProgress},
};
use serde_json::json;

fn disk_image() -> BootInstaller {
    BootInstaller { kind: Some(BootInstallerKind::DiskImage), ..BootInstaller::default() }
}

#[test]
fn an_order_names_the_machine_that_has_loaded_the_installer_and_the_disk_of_the_token() {
    let mut token = boot(&token(), "192.0.2.1", 0);
    let document = |token: &BootToken| serde_json::to_value(order(token)).unwrap();
    let disk = json!({ "url": "disk.img", "checksums": "disk.img.sha256" });
    let small = json!({ "machine": "web-1", "disk": disk, "host": "credential", "label": "web-1" });
    assert_eq!(document(&token), small);
    token.status.as_mut().unwrap().machine = Some(with_mac(1));
    let serial = Some("SN 1".to_owned());
    token.spec.target_disk =
        Some(MachineTargetDisk { serial, min_size_gib: Some(100), ..MachineTargetDisk::default() });
    let mut whole = small;
    whole["mac"] = json!(["02:00:00:00:00:01"]);
    whole["targetDisk"] = json!({ "serial": "SN 1", "minSizeGiB": 100 });
    assert_eq!(document(&token), whole);
}

#[test]
fn what_the_installer_says_is_a_step_of_the_token() {
    let said = |phase, written, message: &str| {
        let message = message.to_owned();
        InstallReport::from(InstallProgress { phase, written, total: Some(4 << 30), message })
    };
    for (phase, written, message, step, told) in [
        (InstallPhase::Downloading, 0, "", BootStep::Started, ""),
        (InstallPhase::Writing, 1 << 30, "", BootStep::Writing, "25 %, 1.0 GiB"),
        (InstallPhase::Writing, 1 << 30, "503", BootStep::Writing, "25 %, 1.0 GiB: 503"),
        (InstallPhase::Configuring, 4 << 30, "", BootStep::Configuring, ""),
        (InstallPhase::Failed, 0, "2 disks fit", BootStep::Failed, "2 disks fit"),
        (InstallPhase::Failed, 0, "", BootStep::Failed, "the installer does not say why"),
        (InstallPhase::Done, 4 << 30, "", BootStep::Done, ""),
    ] {
        assert_eq!(said(phase, written, message), InstallReport { step, message: told.to_owned() });
    }
}

#[test]
fn an_installer_that_writes_a_disk_image_may_be_in_the_image_that_is_installed() {
    let mut installer = disk_image();
    assert_eq!(source(&installer, "a/b"), Some(Source::Image("a/b")));
    installer.image = Some("a/installer".to_owned());
    assert_eq!(source(&installer, "a/b"), Some(Source::Image("a/installer")));
    assert_eq!(source(&BootInstaller::default(), "a/b"), None);
}

#[test]
fn an_image_that_is_not_served_is_said_before_a_machine_boots_and_no_template_is_needed() {
    let mut token = token();
    token.spec.installer = Some(disk_image());
    let reason = |token: &BootToken, allowed: &str| {
        let default = installer();
        let refusal = |image: &str| (image != allowed).then(|| "it is not allowed".to_owned());
        let no_template = Some("there is no template default");
        let seen =
            Observation { no_template, refusal_of: &refusal, ..seen(token, None, &default, 0) };
        let Decision::Record(status) = decide(&seen) else { panic!("nothing is recorded") };
        let usable = status.conditions.iter().find(|it| it.type_ == condition::USABLE);
        usable.map(|it| (it.reason.clone(), it.message.clone())).unwrap()
    };
    let not_served =
        |field: &str| ("ImageNotServed".to_owned(), format!("{field}: it is not allowed"));
    let image = token.spec.image.clone();
    assert_eq!(reason(&token, &image).0, "Issued");
    assert_eq!(reason(&token, "").0, "ImageNotServed");
    token.spec.installer =
        Some(BootInstaller { image: Some("a/installer".to_owned()), ..disk_image() });
    assert_eq!(reason(&token, "a/installer"), not_served("image"));
    assert_eq!(reason(&token, &image), not_served("installer.image"));
}
