//! Whether a machine is the one that a token is bound to, according to what it reports about itself.

use super::Refusal;
use crate::serial_number::names_one;
use metal_api::{BootBinding, HostHardware, MacAddr, SystemUuid};

/// How many MAC addresses of a machine are examined.
pub const MACS: usize = 64;
/// Longest text that a machine may report about itself, in bytes.
pub const TEXT: usize = 128;

/// Compares the hardware that a machine reports with the binding of a token.
///
/// # Errors
///
/// The part that does not match, with the reported value.
pub fn check(binding: Option<&BootBinding>, said: &HostHardware) -> Result<(), Refusal> {
    let Some(binding) = binding else { return Ok(()) };
    if let Some(mac) = &binding.mac_address {
        let wanted = mac.parse::<MacAddr>().ok();
        let mut all = said.mac_addresses.iter().take(MACS).map(|mac| mac.parse::<MacAddr>().ok());
        if wanted.is_none() || !all.any(|mac| mac == wanted) {
            return Err(Refusal::Unfit(format!("no interface has the MAC address {mac}")));
        }
    }
    if let Some(serial) = &binding.serial {
        let other = said.serial.as_deref().unwrap_or_default();
        if !names_one(serial) || !serial.trim().eq_ignore_ascii_case(other.trim()) {
            return Err(Refusal::Unfit(format!("its serial number is {:?}", clip(other))));
        }
    }
    if let Some(uuid) = &binding.system_uuid {
        let other = said.system_uuid.as_deref().unwrap_or_default();
        let (wanted, found) = (uuid.parse::<SystemUuid>().ok(), other.parse::<SystemUuid>().ok());
        let is_it = wanted.zip(found).is_some_and(|(wanted, found)| wanted.is_same(found));
        if !is_it {
            return Err(Refusal::Unfit(format!("its UUID is {:?}", clip(other))));
        }
    }
    Ok(())
}

/// Why a binding matches nothing, or every machine: its values are those that many boards are shipped with.
pub fn problem(binding: &BootBinding) -> Option<String> {
    if let Some(serial) = binding.serial.as_ref().filter(|it| !names_one(it)) {
        return Some(format!("binding.serial: many machines say {serial:?}: name a macAddress"));
    }
    let uuid = binding.system_uuid.as_ref()?.parse::<SystemUuid>().err()?;
    Some(format!("binding.systemUUID: {uuid}: name a macAddress"))
}

/// The reported hardware within limits: printable ASCII, and not too much of it.
pub fn bounded(said: HostHardware) -> HostHardware {
    let text = |text: Option<String>| text.map(|text| clip(&text)).filter(|text| !text.is_empty());
    let macs = said.mac_addresses.iter().take(MACS);
    let macs = macs.filter_map(|mac| mac.parse::<MacAddr>().ok()).map(|mac| mac.to_string());
    HostHardware {
        serial: text(said.serial),
        system_uuid: text(said.system_uuid),
        mac_addresses: macs.collect(),
    }
}

fn clip(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
    plain.take(TEXT).collect::<String>().trim().to_owned()
}
