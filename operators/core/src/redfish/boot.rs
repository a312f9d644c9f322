//! What the next boot is from: the `Boot` object of a `ComputerSystem`.

/// `BootSourceOverrideTarget`, values that we set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum BootSource {
    /// No override.
    None,
    /// PXE, by UEFI or by BIOS.
    Pxe,
    /// UEFI HTTP boot.
    UefiHttp,
    /// The first local disk.
    Hdd,
    /// Virtual or real CD.
    Cd,
    /// CD drive on USB, as the virtual ones of Supermicro: there, `Cd` is the drive in the machine.
    UsbCd,
    /// Virtual or real USB stick.
    Usb,
}

/// `BootSourceOverrideMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum BootMode {
    /// UEFI.
    #[strum(serialize = "UEFI")]
    Uefi,
    /// BIOS.
    Legacy,
}

/// `BootSourceOverrideEnabled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum BootEnabled {
    /// The override is off.
    #[default]
    Disabled,
    /// The override applies to the next boot only.
    Once,
    /// The override applies until it is removed.
    Continuous,
}

/// The `Boot` object of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootReading {
    /// Whether an override is active.
    pub enabled: BootEnabled,
    /// The source of the next boot. `None` if the BMC reports none that we know.
    pub target: Option<BootSource>,
    /// The mode of the next boot. `None` if the BMC does not have the property.
    pub mode: Option<BootMode>,
    /// Targets that the BMC allows; empty if it does not list them.
    pub allowable: Vec<BootSource>,
    /// Modes that the BMC allows; empty if it does not list them.
    pub allowable_modes: Vec<BootMode>,
    /// Whether `HttpBootUri` has a value. UEFI HTTP boot then loads that, whatever DHCP says
    /// (DSP0268, `ComputerSystem.Boot`).
    pub has_http_boot_uri: bool,
    /// `BootOrder`, as references.
    pub order: Vec<String>,
}

impl BootReading {
    /// Whether a boot from this source loads what somebody has once set, and not what DHCP says.
    pub fn is_preset(&self, source: BootSource) -> bool {
        source == BootSource::UefiHttp && self.has_http_boot_uri
    }
}
