//! Plugins for boot files.

use super::{fail, read};
use crate::{
    draft::{Draft, refusal},
    main_file::{Family, File},
    note::Error,
    quote::quote,
    step::Step,
};
use metal_api::MacAddr;
use metal_text::{
    located::{Located, Text},
    yaml::or_default,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HttpBoot {
    /// Prefixed with `bootservice:` in versions without `client_specific`.
    #[serde(alias = "bootServer")]
    boot_file: Text,
    #[serde(default, deserialize_with = "or_default")]
    client_specific: bool,
}

/// A URL for UEFI HTTP boot, or a service that returns one for each machine.
pub(super) fn httpboot(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let inline = step.plugin.args.first().filter(|arg| arg.contains("://"));
    let (file, raw) = match inline {
        Some(url) => {
            let boot_file = Located { value: url.clone(), line: step.plugin.line };
            (step.main.name(), HttpBoot { boot_file, client_specific: false })
        }
        None => read(step, files)?,
    };
    let HttpBoot { boot_file: Located { value: url, line }, client_specific } = raw;
    let service = url.strip_prefix("bootservice:").map(str::to_owned);
    let client_specific = client_specific || service.is_some();
    let url = service.unwrap_or(url);
    if client_specific {
        let why =
            format!("{url} is not queried; netboot gets the UKI of a machine from the API server");
        let fix = "grant the permissions in bases/rbac, and do not use --no-endpoints";
        draft.notes.push(step.note_in(file, line, why, fix));
        return Ok(());
    }
    draft.boot(step, (file, line), "http", &url);
    let why = "is sent to all architectures by FeDHCP, but only to x86-64 by netboot";
    draft.notes.push(step.note_in(file, line, why, "set httpArm64 for 64-bit ARM"));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PxeBoot {
    tftp_address: Option<Families>,
    ipxe_address: Option<Families>,
    /// One for all, in earlier versions.
    tftp_server: Option<Text>,
    ipxe_server: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Families {
    ipv4: Option<Machines>,
    ipv6: Option<Machines>,
}

/// FeDHCP accepts other architectures, but never uses them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Machines {
    amd64: Option<Text>,
    arm64: Option<Text>,
}

impl Families {
    fn of(self, family: Family) -> Option<Machines> {
        match family {
            Family::V4 => self.ipv4,
            Family::V6 => self.ipv6,
        }
    }
}

/// The TFTP files of iPXE, and its scripts.
pub(super) fn pxeboot(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    if let [tftp, script, ..] = &step.plugin.args[..] {
        let place = (step.main.name(), step.plugin.line);
        draft.boot(step, place, "uefi", tftp);
        draft.boot(step, place, "ipxe", script);
        return Ok(());
    }
    let (file, raw) = read(step, files)?;
    let PxeBoot { tftp_address, ipxe_address, tftp_server, ipxe_server } = raw;
    for (field, url) in [("uefi", tftp_server), ("ipxe", ipxe_server)] {
        if let Some(url) = url {
            draft.boot(step, (file, url.line), field, &url.value);
        }
    }
    if let Some(tftp) = tftp_address.and_then(|all| all.of(step.family)) {
        for (field, url) in [("uefi", &tftp.amd64), ("arm64", &tftp.arm64)] {
            if let Some(url) = url {
                draft.boot(step, (file, url.line), field, &url.value);
            }
        }
        if let Some(url) = tftp.amd64.filter(|_| step.family == Family::V4) {
            let why = "is also sent to BIOS machines by FeDHCP, which cannot run it";
            let fix = "set boot.bios for them, for example to undionly.kpxe";
            draft.notes.push(step.note_in(file, url.line, why, fix));
        }
    }
    if let Some(Machines { amd64, arm64 }) = ipxe_address.and_then(|all| all.of(step.family)) {
        for url in [amd64, arm64].iter().flatten() {
            draft.boot(step, (file, url.line), "ipxe", &url.value);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ztp {
    #[serde(default, deserialize_with = "or_default")]
    switches: Vec<Switch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Switch {
    mac_address: Text,
    provisioning_script_address: Text,
    /// Informative only.
    #[serde(rename = "name")]
    _name: Option<String>,
}

/// What switches load first.
pub(super) fn ztp(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let (file, Ztp { switches }) = read(step, files)?;
    for switch in switches {
        let (mac, url) = (switch.mac_address, switch.provisioning_script_address);
        let parsed: MacAddr = mac.value.parse().map_err(|_| {
            let problem = format!("`{}` is not a MAC address; correct it", mac.value);
            fail(file, mac.line, "switches.macAddress", problem)
        })?;
        let entry = (parsed.to_string(), url.value);
        let line = format!("ztp: [{{ mac: {}, url: {} }}]\n", quote(&entry.0), quote(&entry.1));
        match refusal(&line) {
            Some(why) => {
                draft.notes.push(step.note_in(file, url.line, why, "set it in ztp by hand"));
            }
            None if draft.ztp.iter().any(|other| other.0 == entry.0 && other != &entry) => {
                let why = format!("{} already has a different URL", entry.0);
                draft.notes.push(step.note_in(file, mac.line, why, "check which one is intended"));
            }
            None if draft.ztp.contains(&entry) => {}
            None => draft.ztp.push(entry),
        }
    }
    Ok(())
}

/// Installers of switches, by user class.
pub(super) fn onie(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let file = step.file(files)?;
    let why = "switches are identified by MAC address, not by user class";
    let fix = "add a ztp entry with the MAC prefix of the switches and the URL of the installer";
    draft.notes.push(step.note_in(&file.name, 1, why, fix));
    Ok(())
}
