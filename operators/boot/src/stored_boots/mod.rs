//! What is stored for a start during an outage of the API server.
//!
//! A machine in the middle of its boot does not wait for an API server. So everything that an open
//! boot window needs is stored in a file: the objects that decide about it, and its Secrets. A
//! process that starts and gets no answer from the API server makes the same decisions from these
//! files, until the first lists arrive.
//!
//! ```text
//! window opens, or something of it changes ─► file written        ┐ encrypted with a key that is
//! window closes, by object or by time      ─► file removed        ┘ derived from the boot key
//!
//! start ─► lists arrive in time ──────────────────────► files of boots that are over are removed
//!   └────► silence ─► files that count fill the view ─► lists arrive, and replace all of it
//! ```
//!
//! A file is valid until its window closes ([`metal_core::boot::stored_boot`]). A damaged or foreign file
//! is ignored. Without the key, its header still contains which images the boot needs: they contain
//! no secrets, and are all that is served then.

mod file;
mod folder;
mod gather;
mod keeper;
mod restore;
#[cfg(test)]
mod tests;

pub(crate) use folder::Folder;
pub(crate) use keeper::{Keeper, Written};
pub(crate) use restore::Restore;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use metal_api::{HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration};
use metal_core::boot::{address::LeasedAddress, stored_boot::ClockReading};
use metal_runtime::{clock, metrics::Registry};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use serde::{Deserialize, Serialize};
use std::{fs, io};

/// The kernel's identifier for the current start of the machine.
const START: &str = "/proc/sys/kernel/random/boot_id";

/// What one boot window needs.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Boot {
    servers: Vec<Server>,
    configurations: Vec<ServerBootConfiguration>,
    ipxe: Vec<IpxeBootConfig>,
    http: Vec<HttpBootConfig>,
    secrets: Vec<KeptSecret>,
    /// The addresses of its machine.
    #[serde(default)]
    places: Vec<LeasedAddress>,
}

/// What a boot needs of a Secret.
#[derive(Clone, Serialize, Deserialize)]
struct KeptSecret {
    namespace: String,
    name: String,
    ignition: Option<ByteString>,
    script: Option<ByteString>,
}

/// Metrics of stored boots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    kept: Gauge,
    served: Gauge,
    unusable: Family<Label, Counter>,
    failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    reason: &'static str,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let it = Self::default();
        let what = "Boots stored on disk, to be served if the process starts while the API server is unreachable";
        registry.register("kept_boots", what, it.kept.clone());
        let what =
            "Boots served from disk because the API server has not been reached since the start";
        registry.register("kept_boots_served", what, it.served.clone());
        let what = "Stored boots that could not be read";
        registry.register("kept_files_unusable", what, it.unusable.clone());
        let what = "Boots that could not be stored on disk";
        registry.register("kept_boots_failures", what, it.failures.clone());
        it
    }
}

/// The identifier of the current start of the machine.
///
/// # Errors
///
/// If the kernel does not provide it.
pub(crate) fn start_of_machine() -> io::Result<String> {
    fs::read_to_string(START).map(|text| text.trim().to_owned())
}

/// The current time of both clocks.
fn clock_reading(start: &str) -> ClockReading {
    let running = SignedDuration::try_from(clock::since_boot()).unwrap_or(SignedDuration::MAX);
    ClockReading { wall: Timestamp::now(), start: start.to_owned(), running }
}
