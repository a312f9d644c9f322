//! What Redfish (DSP0266, DSP0268) says about a system, in types that hold only valid values.
//!
//! `metal-bmc` fills these from a BMC, decisions read them, and a [`Step`] is what a decision asks
//! a BMC to do. A value that the BMC omits is `None`; an unknown value is kept as text if somebody
//! might want to read it.

mod boot;
mod media;

pub use boot::{BootEnabled, BootMode, BootReading, BootSource};
pub use media::{ImageUrl, MediaSlot};

use jiff::{SignedDuration, Timestamp};
use metal_api::SystemUuid;
use std::fmt;

/// `ComputerSystem.PowerState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum PowerState {
    /// The host is on.
    On,
    /// The host is off; the BMC still answers.
    Off,
    /// The host is being powered on.
    PoweringOn,
    /// The host is being powered off.
    PoweringOff,
    /// The host is paused.
    Paused,
    /// The BMC does not report it, or reports a non-standard value.
    #[default]
    Unknown,
}

/// `ResetType` of `ComputerSystem.Reset` and `Manager.Reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(ascii_case_insensitive)]
pub enum ResetType {
    /// Power on.
    On,
    /// Power on, even if `On` would wait for something.
    ForceOn,
    /// Power off at once.
    ForceOff,
    /// Ask the operating system to shut down.
    GracefulShutdown,
    /// Ask the operating system to restart.
    GracefulRestart,
    /// Reset at once.
    ForceRestart,
    /// Power off and on again.
    PowerCycle,
    /// Press the power button: asks a host that is on to shut down, and starts one that is off.
    PushPowerButton,
    /// Any other; never requested.
    Other,
}

/// `IndicatorLED`, or `LocationIndicatorActive` as the equivalent value.
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

/// One `ComputerSystem`, as returned by one GET.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// `@odata.id`.
    pub uri: String,
    /// SMBIOS UUID. `None` if the BMC has none that identifies the machine.
    pub uuid: Option<SystemUuid>,
    /// Whether the BMC has one instead that many boards are shipped with.
    pub has_shipped_uuid: bool,
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
    /// Settings of the next boot.
    pub boot: BootReading,
    /// Reset types that the BMC allows; empty if it does not list them.
    pub reset_types: Vec<ResetType>,
    /// Whether it offers no reset at all: it is a baseboard, or runs on a host.
    pub lacks_reset: bool,
    /// `LastResetTime`.
    pub last_reset: Option<Timestamp>,
}

impl SystemReading {
    /// Whether the BMC can ask the host to shut down. Pressing the power button asks a host that is
    /// on, but starts one that is off.
    pub fn can_be_asked(&self) -> bool {
        allows(&self.reset_types, &ResetType::GracefulShutdown)
            || (self.has_button() && self.power == PowerState::On)
    }

    /// Whether the BMC can press the power button.
    pub fn has_button(&self) -> bool {
        self.reset_types.contains(&ResetType::PushPowerButton)
    }
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

/// What the BMC reports about the parts of a system. A part that cannot be read is left out and
/// listed in `missing`; it does not affect the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Processors, in the order of the collection.
    pub processors: Vec<Processor>,
    /// Storage, in the order of the collection.
    pub storages: Vec<Storage>,
    /// What could not be read: one text for each, with URI and reason.
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

/// One write to a BMC. Those on a system are idempotent, except a `Reset` that restarts the host,
/// which the caller must record first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Boot from this source, next time only; also sets the mode if there is one.
    BootOnce {
        /// The source.
        source: BootSource,
        /// The mode; `None` leaves the BMC's setting unchanged.
        mode: Option<BootMode>,
    },
    /// Reset the host.
    Reset(ResetType),
    /// Set the locator LED.
    IndicatorLed(IndicatorLed),
    /// Set the persistent boot order, as references, and clear an override.
    BootOrder(Vec<String>),
    /// Insert this image into a slot, in place of what is there.
    InsertMedium {
        /// `@odata.id` of the `VirtualMedia`.
        slot: String,
        /// The image.
        image: ImageUrl,
    },
    /// Eject what is in a slot.
    EjectMedium {
        /// `@odata.id` of the `VirtualMedia`.
        slot: String,
    },
}

/// The BMC gave no usable answer. That is an observation as well, and is reported in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// It did not answer, or not in a way we understand. The text is stable between attempts.
    NoAnswer(String),
    /// It refuses our credentials. Retrying soon would lock the account.
    Unauthorized,
    /// All of its sessions are taken, and it accepts no request without one; with what it said.
    SessionsFull(String),
    /// It sends more than one BMC may make a process hold; with the limit that it exceeds. Retrying
    /// soon is no use.
    Misbehaving(String),
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Scheme {
    /// Unencrypted; only if the object says so.
    Http,
    /// TLS.
    Https,
}

/// A user name and a password. `Debug` shows neither.
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

/// Whether a list of allowable values contains this one; a BMC without a list allows everything.
pub fn allows<T: PartialEq>(allowable: &[T], wanted: &T) -> bool {
    allowable.is_empty() || allowable.contains(wanted)
}

/// Whether two times of the last reset are those of two resets. BMCs that compute it from the host's
/// uptime report a slightly different time in each reading.
pub(crate) fn is_another_reset(known: Timestamp, at: Timestamp) -> bool {
    const JITTER: SignedDuration = SignedDuration::from_mins(1);
    at.duration_since(known).abs() > JITTER
}
