//! `BootOption`s of a system, and which changes to its `Boot` object are accepted.

use super::{
    problem::Problem,
    view::{View, collection},
};
use crate::{
    boot_settings::{BootMode, BootOption, BootSettings, BootTarget},
    config::Profile,
};
use serde_json::{Map, Value, json};
use std::str::FromStr;
use strum::{EnumMessage, VariantArray};
use url::Url;

impl View<'_> {
    pub(super) fn boot_options_uri(&self) -> String {
        format!("{}/BootOptions", self.system_uri())
    }

    pub(super) fn boot_options(&self) -> Value {
        let numbers = 1..=BootOption::VARIANTS.len();
        collection("Boot Options", "BootOption", &self.boot_options_uri(), numbers)
    }

    pub(super) fn boot_option(&self, number: u32) -> Option<Value> {
        option(&self.boot_options_uri(), number)
    }
}

fn option(uri: &str, number: u32) -> Option<Value> {
    let option = BootOption::VARIANTS.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
    let (alias, path) = match option {
        BootOption::Disk => ("Hdd", "PciRoot(0x0)/Pci(0x6,0x0)/NVMe(0x1,00-25-38-00-00-00-00-01)"),
        BootOption::Pxe => ("Pxe", "PciRoot(0x0)/Pci(0x1,0x0)/MAC(000000000000,0x1)/IPv4(0.0.0.0)"),
        BootOption::Http => {
            ("UefiHttp", "PciRoot(0x0)/Pci(0x1,0x0)/MAC(000000000000,0x1)/IPv4(0.0.0.0)/Uri()")
        }
    };
    Some(json!({
        "@odata.id": format!("{uri}/{number}"),
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

/// The settings after a PATCH of `Boot`; nothing changes if any part of it is invalid.
pub(super) fn patched(
    settings: &BootSettings,
    profile: &Profile,
    patch: &Map<String, Value>,
) -> Result<BootSettings, Problem> {
    let mut new = settings.clone();
    for (name, value) in patch {
        set(&mut new, profile, name, value).map_err(|problem| problem.at("/Boot", name))?;
    }
    if new.target == BootTarget::UefiHttp && new.mode == BootMode::Legacy {
        return Err(Problem::value_conflict("BootSourceOverrideTarget", "BootSourceOverrideMode"));
    }
    Ok(new)
}

fn set(
    new: &mut BootSettings,
    profile: &Profile,
    name: &str,
    value: &Value,
) -> Result<(), Problem> {
    match name {
        "BootSourceOverrideEnabled" => new.enabled = word(name, value, |_| true)?,
        "BootSourceOverrideTarget" => {
            new.target = word(name, value, |target| profile.boot_targets.contains(target))?;
        }
        "BootSourceOverrideMode" if !profile.boot_modes.is_empty() => {
            new.mode = word(name, value, |mode| profile.boot_modes.contains(mode))?;
        }
        "HttpBootUri" if profile.boot_targets.contains(&BootTarget::UefiHttp) => {
            new.http_boot_uri = url(name, value)?;
        }
        "BootOrder" => new.order = order(name, value)?,
        "BootOptions" => return Err(Problem::not_writable(name)),
        _ => return Err(Problem::unknown_property(name)),
    }
    Ok(())
}

/// A word of the standard that this BMC supports.
fn word<T: FromStr>(name: &str, value: &Value, allowed: impl Fn(&T) -> bool) -> Result<T, Problem> {
    let text = value.as_str().ok_or_else(|| Problem::value_type(value, name))?;
    let word = text.parse().ok().filter(allowed);
    word.ok_or_else(|| Problem::not_in_list(text, name))
}

fn url(name: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(text.clone())),
            _ => Err(Problem::value_format(text, name)),
        },
        _ => Err(Problem::value_type(value, name)),
    }
}

fn order(name: &str, value: &Value) -> Result<Vec<BootOption>, Problem> {
    let items = value.as_array().ok_or_else(|| Problem::value_type(value, name))?;
    let mut order = Vec::new();
    for item in items {
        let option = word(name, item, |option| !order.contains(option))?;
        order.push(option);
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_settings::Source;

    fn patched(patch: &Value) -> Result<BootSettings, String> {
        let profile = Profile::default();
        super::patched(&BootSettings::default(), &profile, patch.as_object().unwrap())
            .map_err(|problem| problem.id().to_owned())
    }

    #[test]
    fn once_counts_for_one_boot_and_continuous_for_all() {
        for (enabled, second) in [("Once", Source::Disk), ("Continuous", Source::Pxe)] {
            let mut boot = patched(&json!({
                "BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": "Pxe",
            }))
            .unwrap();
            assert_eq!(boot.consume(&[])[0], Source::Pxe);
            assert_eq!(boot.consume(&[])[0], second);
        }
    }

    #[test]
    fn a_target_without_enabled_does_not_count() {
        let mut boot = patched(&json!({ "BootSourceOverrideTarget": "Pxe" })).unwrap();
        assert_eq!(boot.consume(&[])[0], Source::Disk);
    }

    #[test]
    fn a_boot_order_is_followed() {
        let mut boot = patched(&json!({ "BootOrder": ["Boot0003", "Boot0001"] })).unwrap();
        assert_eq!(boot.consume(&[]), [Source::Http(None), Source::Disk]);
    }

    #[test]
    fn what_a_bmc_does_not_offer_is_refused_by_name() {
        let cases = [
            (json!({ "BootSourceOverrideTarget": "Usb" }), "PropertyValueNotInList"),
            (json!({ "BootSourceOverrideEnabled": "Twice" }), "PropertyValueNotInList"),
            (json!({ "BootSourceOverrideMode": 1 }), "PropertyValueTypeError"),
            (json!({ "BootOrder": ["Boot0009"] }), "PropertyValueNotInList"),
            (json!({ "BootOrder": ["Boot0001", "Boot0001"] }), "PropertyValueNotInList"),
            (json!({ "HttpBootUri": "ftp://a/b" }), "PropertyValueFormatError"),
            (json!({ "BootOptions": {} }), "PropertyNotWritable"),
            (json!({ "StopBootOnFault": "Any" }), "PropertyUnknown"),
            (
                json!({ "BootSourceOverrideTarget": "UefiHttp", "BootSourceOverrideMode": "Legacy" }),
                "PropertyValueConflict",
            ),
        ];
        for (patch, id) in cases {
            assert_eq!(patched(&patch), Err(id.to_owned()), "{patch}");
        }
    }
}
