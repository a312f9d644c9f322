//! The `Boot` object of a system: what the next boot does.

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
    /// The virtual CD drive of the BMC.
    Cd,
    /// The virtual CD drive, on boards where `Cd` is a drive of the machine, which is empty.
    UsbCd,
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
    /// The override is off.
    #[default]
    Disabled,
    /// It applies to the next boot.
    Once,
    /// It applies until it is changed.
    Continuous,
}

/// `BootOptionReference`: an element of a boot order.
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
    /// UEFI HTTP boot; with a URL if the BMC was given one.
    Http(Option<String>),
    /// The medium in the virtual drive, if one is inserted.
    Cd,
}

/// The `Boot` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootSettings {
    /// Whether the override applies.
    pub enabled: BootEnabled,
    /// What the next boot is from.
    pub target: BootTarget,
    /// The boot mode.
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
    /// What firmware with these targets tries now, in this order; a one-time override is consumed.
    pub(super) fn consume(&mut self, targets: &[BootTarget]) -> Vec<Source> {
        let sources = self.sources(targets);
        if self.enabled == BootEnabled::Once {
            self.enabled = BootEnabled::Disabled;
            self.target = BootTarget::None;
        }
        sources
    }

    fn sources(&self, targets: &[BootTarget]) -> Vec<Source> {
        let http = || Source::Http(self.http_boot_uri.clone());
        if self.enabled != BootEnabled::Disabled {
            match self.target {
                BootTarget::None => {}
                BootTarget::Pxe => return vec![Source::Pxe],
                BootTarget::Hdd => return vec![Source::Disk],
                BootTarget::Cd if targets.contains(&BootTarget::UsbCd) => {}
                BootTarget::Cd | BootTarget::UsbCd => return vec![Source::Cd],
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
}
