//! `BootOption`s of a system.

use super::view::collection;
use crate::boot_settings::BootOption;
use serde_json::{Value, json};
use strum::{EnumMessage, VariantArray};

const URI: &str = "/redfish/v1/Systems/1/BootOptions";

pub(super) fn options() -> Value {
    collection("Boot Options", "BootOption", URI, 1..=BootOption::VARIANTS.len())
}

pub(super) fn option(number: u32) -> Option<Value> {
    let option = BootOption::VARIANTS.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
    let (alias, path) = match option {
        BootOption::Disk => ("Hdd", "PciRoot(0x0)/Pci(0x6,0x0)/NVMe(0x1,00-25-38-00-00-00-00-01)"),
        BootOption::Pxe => ("Pxe", "PciRoot(0x0)/Pci(0x1,0x0)/MAC(000000000000,0x1)/IPv4(0.0.0.0)"),
        BootOption::Http => {
            ("UefiHttp", "PciRoot(0x0)/Pci(0x1,0x0)/MAC(000000000000,0x1)/IPv4(0.0.0.0)/Uri()")
        }
    };
    Some(json!({
        "@odata.id": format!("{URI}/{number}"),
        "@odata.type": "#BootOption.v1_0_4.BootOption",
        "Id": number.to_string(),
        "Name": format!("Boot Option {number}"),
        "BootOptionReference": option.to_string(),
        "DisplayName": option.get_message(),
        "BootOptionEnabled": true,
        "Alias": alias,
        "UefiDevicePath": path,
    }))
}
