//! What Redfish (DSP0266, DSP0268) says about a machine, in types that cannot be wrong.
//!
//! `metal-bmc` fills these from a BMC, decisions read them, and a [`Step`] is what a decision asks
//! a BMC to do. A value that a BMC left out is `None`; a value that we do not know is kept as text
//! where somebody might want to read it.

use jiff::Timestamp;
use std::fmt;

/// `ComputerSystem.PowerState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum PowerState {
    /// The host is on.
    On,
    /// The host is off; the BMC still answers.
    Off,
    /// The host is on its way up.
    PoweringOn,
    /// The host is on its way down.
    PoweringOff,
    /// The host is paused.
    Paused,
    /// The BMC does not say, or says something that is not in the standard.
    #[default]
    Unknown,
}

/// `ResetType` of `ComputerSystem.Reset` and `Manager.Reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum ResetType {
    /// Switch on.
    On,
    /// Switch on, even where `On` would wait for something.
    ForceOn,
    /// Cut the power.
    ForceOff,
    /// Ask the operating system to shut down.
    GracefulShutdown,
    /// Ask the operating system to restart.
    GracefulRestart,
    /// Reset without asking.
    ForceRestart,
    /// Off and on again.
    PowerCycle,
    /// Press the power button: asks a host that is on to shut down, and starts one that is off.
    PushPowerButton,
    /// Another one. Nobody is asked for it.
    Other,
}

/// `BootSourceOverrideTarget`, as far as we set it.
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
    /// The override does not count.
    #[default]
    Disabled,
    /// The override counts for the next boot only.
    Once,
    /// The override counts until it is taken away.
    Continuous,
}

/// The `Boot` object of a system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootReading {
    /// Whether an override is set.
    pub enabled: BootEnabled,
    /// Where the next boot comes from. `None` if the BMC names nothing that we know.
    pub target: Option<BootSource>,
    /// How the next boot is done. `None` if the BMC does not have the property.
    pub mode: Option<BootMode>,
    /// Targets that the BMC allows; empty if it does not say.
    pub allowable: Vec<BootSource>,
    /// Modes that the BMC allows; empty if it does not say.
    pub allowable_modes: Vec<BootMode>,
    /// `BootOrder`, as references.
    pub order: Vec<String>,
}

/// `IndicatorLED`, or `LocationIndicatorActive` in the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum IndicatorLed {
    /// On.
    Lit,
    /// Blinking.
    Blinking,
    /// Off.
    Off,
}

/// One `ComputerSystem`, as one GET returns it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// `@odata.id`.
    pub uri: String,
    /// SMBIOS UUID, lower case. `None` on machines whose BMC has none.
    pub uuid: Option<String>,
    /// `SerialNumber`.
    pub serial_number: Option<String>,
    /// `Manufacturer`.
    pub manufacturer: Option<String>,
    /// `Model`.
    pub model: Option<String>,
    /// `SKU`.
    pub sku: Option<String>,
    /// `BiosVersion`.
    pub bios_version: Option<String>,
    /// `MemorySummary.TotalSystemMemoryGiB`, in bytes.
    pub memory_bytes: Option<u64>,
    /// Power state of the host.
    pub power: PowerState,
    /// `IndicatorLED`.
    pub indicator_led: Option<IndicatorLed>,
    /// What the next boot does.
    pub boot: BootReading,
    /// Reset types that the BMC allows; empty if it does not say.
    pub reset_types: Vec<ResetType>,
    /// Whether it offers no reset at all: a baseboard, or what runs on a host.
    pub lacks_reset: bool,
    /// `LastResetTime`.
    pub last_reset: Option<Timestamp>,
}

/// One `Processor`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// `Id`.
    pub id: String,
    /// `ProcessorType`.
    pub type_: Option<String>,
    /// `ProcessorArchitecture`.
    pub architecture: Option<String>,
    /// `InstructionSet`.
    pub instruction_set: Option<String>,
    /// `Manufacturer`.
    pub manufacturer: Option<String>,
    /// `Model`.
    pub model: Option<String>,
    /// `MaxSpeedMHz`.
    pub max_speed_mhz: Option<u32>,
    /// `TotalCores`.
    pub total_cores: Option<u32>,
    /// `TotalThreads`.
    pub total_threads: Option<u32>,
}

/// One `Drive`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drive {
    /// `Name`.
    pub name: String,
    /// `MediaType`: `HDD`, `SSD`, `SMR`.
    pub media_type: Option<String>,
    /// `Protocol`: `NVMe`, `SATA`, `SAS`, ...
    pub type_: Option<String>,
    /// `CapacityBytes`.
    pub capacity_bytes: Option<u64>,
    /// `Manufacturer`.
    pub vendor: Option<String>,
    /// `Model`.
    pub model: Option<String>,
    /// `Status.State`.
    pub state: Option<String>,
}

/// One `Volume`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// `Name`.
    pub name: String,
    /// `CapacityBytes`.
    pub capacity_bytes: Option<u64>,
    /// `RAIDType`.
    pub raid_type: Option<String>,
    /// `VolumeUsage`.
    pub usage: Option<String>,
    /// `Status.State`.
    pub state: Option<String>,
}

/// One `Storage`, or one `SimpleStorage` in its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// `Name`.
    pub name: String,
    /// `Status.State`.
    pub state: Option<String>,
    /// Its drives.
    pub drives: Vec<Drive>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
}

/// What the BMC knows of the parts of a machine. A part that cannot be read is left out and named
/// in `missing`; it never costs the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Processors, in the order of the collection.
    pub processors: Vec<Processor>,
    /// Storage, in the order of the collection.
    pub storages: Vec<Storage>,
    /// What could not be read: URI and reason, one text each.
    pub missing: Vec<String>,
}

/// One `Manager`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagerReading {
    /// `@odata.id`.
    pub uri: String,
    /// `UUID`.
    pub uuid: Option<String>,
    /// `Manufacturer`.
    pub manufacturer: Option<String>,
    /// `Model`.
    pub model: Option<String>,
    /// `PartNumber`; the metal API calls it SKU.
    pub part_number: Option<String>,
    /// `SerialNumber`.
    pub serial_number: Option<String>,
    /// `FirmwareVersion`.
    pub firmware_version: Option<String>,
    /// `PowerState`.
    pub power: PowerState,
    /// `Status.State`, verbatim.
    pub state: Option<String>,
    /// `LastResetTime`.
    pub last_reset: Option<Timestamp>,
}

/// One write to a BMC. Those on a system are idempotent, except `Reset` with a restarting type,
/// which its caller must record first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Boot from this source, next time only; sets the mode as well where one is given.
    BootOnce {
        /// Where from.
        source: BootSource,
        /// How; `None` leaves the BMC's setting alone.
        mode: Option<BootMode>,
    },
    /// Reset the host.
    Reset(ResetType),
    /// Set the locator LED.
    IndicatorLed(IndicatorLed),
    /// Set the persistent boot order, as references, and drop an override.
    BootOrder(Vec<String>),
    /// Insert this image into a virtual drive, in place of what is in there.
    InsertMedium {
        /// `@odata.id` of the `VirtualMedia`.
        slot: String,
        /// The image.
        image: ImageUrl,
    },
    /// Take out what is in a virtual drive.
    EjectMedium {
        /// `@odata.id` of the `VirtualMedia`.
        slot: String,
    },
}

/// One `VirtualMedia` that an image can be inserted into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaSlot {
    /// `@odata.id`.
    pub uri: String,
    /// Whether `MediaTypes` has `CD` or `DVD`.
    pub is_cd: bool,
    /// Whether `MediaTypes` has `USBStick`.
    pub is_usb: bool,
    /// `Inserted`; without it, whether there is an image.
    pub inserted: bool,
    /// `Image`, where the BMC shows it.
    pub image: Option<ImageUrl>,
}

/// URL of the image of a medium. Whoever has it may read the image, so its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageUrl(String);

impl ImageUrl {
    /// An image at this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL, for the BMC and nothing else.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the file. BMCs show the URL in other forms than they were told, with this name.
    pub fn file(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl fmt::Debug for ImageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageUrl(..)")
    }
}

/// The BMC gave no usable answer. That is an observation too, and ends up in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// It did not answer, or not in a way we understand. The text is the same next time.
    NoAnswer(String),
    /// It refuses our credentials. Asking again soon would lock the account.
    Unauthorized,
    /// All of its sessions are taken, and it takes no request without one. What it said.
    SessionsFull(String),
    /// It sends more than one BMC may make a process hold. Asking again soon is no use. What it
    /// exceeds.
    Misbehaving(String),
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Scheme {
    /// Plain; only where the object says so.
    Http,
    /// TLS.
    Https,
}

/// A user name and a password. Its `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}
