//! The `Boot` object of a system: what the next boot does, and who may change it to what.

use super::{config::Profile, redfish::problem::Problem};
use serde_json::{Map, Value};
use std::str::FromStr;
use url::Url;

/// `BootSourceOverrideTarget`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum BootTarget {
    /// No override.
    #[default]
    None,
    /// PXE.
    Pxe,
    /// The first disk.
    Hdd,
    /// The CD that the BMC emulates.
    Cd,
    /// UEFI HTTP boot.
    UefiHttp,
}

/// `BootSourceOverrideMode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum BootMode {
    /// UEFI.
    #[default]
    #[strum(serialize = "UEFI")]
    Uefi,
    /// BIOS.
    Legacy,
}

/// `BootSourceOverrideEnabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
pub enum BootEnabled {
    /// The override does not count.
    #[default]
    Disabled,
    /// It counts for the next boot.
    Once,
    /// It counts until somebody takes it away.
    Continuous,
}

/// `BootOptionReference`: what a boot order consists of.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
    strum::EnumMessage,
)]
pub enum BootOption {
    /// The first disk.
    #[strum(serialize = "Boot0001", message = "Linux Boot Manager")]
    Disk,
    /// PXE on the first NIC.
    #[strum(serialize = "Boot0002", message = "UEFI PXEv4 (Port 0)")]
    Pxe,
    /// HTTP boot on the first NIC.
    #[strum(serialize = "Boot0003", message = "UEFI HTTPv4 (Port 0)")]
    Http,
}

/// Where firmware loads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The first disk.
    Disk,
    /// PXE, then iPXE.
    Pxe,
    /// UEFI HTTP boot; with a URL where the BMC was given one.
    Http(Option<String>),
    /// The medium that the BMC emulates, if one is inserted.
    Cd,
}

/// The `Boot` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootSettings {
    /// Whether the override counts.
    pub enabled: BootEnabled,
    /// Where the next boot comes from.
    pub target: BootTarget,
    /// How.
    pub mode: BootMode,
    /// `HttpBootUri`.
    pub http_boot_uri: Option<String>,
    /// Persistent order.
    pub order: Vec<BootOption>,
}

impl Default for BootSettings {
    fn default() -> Self {
        Self {
            enabled: BootEnabled::default(),
            target: BootTarget::default(),
            mode: BootMode::default(),
            http_boot_uri: None,
            order: vec![BootOption::Disk, BootOption::Pxe, BootOption::Http],
        }
    }
}

impl BootSettings {
    /// What firmware tries now, in this order; an override for one boot is used up by asking.
    pub(super) fn consume(&mut self) -> Vec<Source> {
        let sources = self.sources();
        if self.enabled == BootEnabled::Once {
            self.enabled = BootEnabled::Disabled;
            self.target = BootTarget::None;
        }
        sources
    }

    fn sources(&self) -> Vec<Source> {
        let http = || Source::Http(self.http_boot_uri.clone());
        if self.enabled != BootEnabled::Disabled {
            match self.target {
                BootTarget::None => {}
                BootTarget::Pxe => return vec![Source::Pxe],
                BootTarget::Hdd => return vec![Source::Disk],
                BootTarget::Cd => return vec![Source::Cd],
                BootTarget::UefiHttp => return vec![http()],
            }
        }
        let source = |option: &BootOption| match option {
            BootOption::Disk => Source::Disk,
            BootOption::Pxe => Source::Pxe,
            BootOption::Http => http(),
        };
        self.order.iter().map(source).collect()
    }

    /// The settings after a PATCH of `Boot`; nothing changes if anything of it is wrong.
    pub(super) fn patched(
        &self,
        profile: &Profile,
        patch: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        let mut new = self.clone();
        for (name, value) in patch {
            new.set(profile, name, value).map_err(|problem| problem.at("/Boot", name))?;
        }
        if new.target == BootTarget::UefiHttp && new.mode == BootMode::Legacy {
            return Err(Problem::value_conflict(
                "BootSourceOverrideTarget",
                "BootSourceOverrideMode",
            ));
        }
        Ok(new)
    }

    fn set(&mut self, profile: &Profile, name: &str, value: &Value) -> Result<(), Problem> {
        match name {
            "BootSourceOverrideEnabled" => self.enabled = word(name, value, |_| true)?,
            "BootSourceOverrideTarget" => {
                self.target = word(name, value, |target| profile.boot_targets.contains(target))?;
            }
            "BootSourceOverrideMode" if !profile.boot_modes.is_empty() => {
                self.mode = word(name, value, |mode| profile.boot_modes.contains(mode))?;
            }
            "HttpBootUri" if profile.boot_targets.contains(&BootTarget::UefiHttp) => {
                self.http_boot_uri = url(name, value)?;
            }
            "BootOrder" => self.order = order(name, value)?,
            "BootOptions" => return Err(Problem::not_writable(name)),
            _ => return Err(Problem::unknown_property(name)),
        }
        Ok(())
    }
}

/// A word that is in the standard and that this BMC allows.
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
    use serde_json::json;

    fn patched(patch: &Value) -> Result<BootSettings, String> {
        let profile = Profile::default();
        BootSettings::default()
            .patched(&profile, patch.as_object().unwrap())
            .map_err(|problem| problem.id().to_owned())
    }

    #[test]
    fn once_counts_for_one_boot_and_continuous_for_all() {
        for (enabled, second) in [("Once", Source::Disk), ("Continuous", Source::Pxe)] {
            let mut boot = patched(&json!({
                "BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": "Pxe",
            }))
            .unwrap();
            assert_eq!(boot.consume()[0], Source::Pxe);
            assert_eq!(boot.consume()[0], second);
        }
    }

    #[test]
    fn a_target_without_enabled_does_not_count() {
        let mut boot = patched(&json!({ "BootSourceOverrideTarget": "Pxe" })).unwrap();
        assert_eq!(boot.consume()[0], Source::Disk);
    }

    #[test]
    fn a_boot_order_is_followed() {
        let mut boot = patched(&json!({ "BootOrder": ["Boot0003", "Boot0001"] })).unwrap();
        assert_eq!(boot.consume(), [Source::Http(None), Source::Disk]);
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
