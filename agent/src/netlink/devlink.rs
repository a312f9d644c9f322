//! Firmware version of an adapter, from the kernel's `devlink` family.

use super::{
    generic::Generic,
    message::{self, c_string, find},
    socket::NetlinkError,
};

/// `DEVLINK_CMD_INFO_GET`, and attributes of its reply (`linux/devlink.h`).
const INFO_GET: u8 = 51;
const BUS_NAME: u16 = 1;
const DEVICE_NAME: u16 = 2;
const RUNNING: u16 = 101;
const VERSION_NAME: u16 = 103;
const VERSION_VALUE: u16 = 104;
/// The kernel's generic names for running firmware, best first.
const NAMES: [&str; 4] = ["fw.version", "fw", "fw.mgmt", "fw.bundle_id"];

pub(super) fn firmware(generic: &mut Generic, pci: &str) -> Result<Option<String>, NetlinkError> {
    let device = [message::text(BUS_NAME, "pci"), message::text(DEVICE_NAME, pci)].concat();
    let answer = generic.call("devlink", INFO_GET, &device)?;
    Ok(answer.first().and_then(|attributes| parse(attributes)))
}

fn parse(attributes: &[u8]) -> Option<String> {
    let running = message::attributes(attributes).filter(|(kind, _)| *kind == RUNNING);
    let versions: Vec<_> = running
        .filter_map(|(_, version)| {
            let text = |kind| find(version, kind).map(c_string);
            Some((text(VERSION_NAME)?, text(VERSION_VALUE)?))
        })
        .collect();
    let named = |wanted: &&str| versions.iter().find(|(name, _)| name == wanted);
    NAMES.iter().find_map(named).map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::{nested, text};

    #[test]
    fn the_running_firmware_is_taken_by_its_best_name() {
        let version = |kind, name, value| {
            nested(kind, &[text(VERSION_NAME, name), text(VERSION_VALUE, value)].concat())
        };
        let versions = [
            text(98, "mlx5_core"),
            version(100, "fw", "fixed"),
            version(RUNNING, "fw.psid", "MT_0000000008"),
            version(RUNNING, "fw", "16.35"),
            version(RUNNING, "fw.version", "16.35.4030"),
        ];
        assert_eq!(parse(&versions.concat()).as_deref(), Some("16.35.4030"));
        assert_eq!(parse(&versions[..4].concat()).as_deref(), Some("16.35"));
        assert_eq!(parse(&versions[..3].concat()), None);
    }
}
