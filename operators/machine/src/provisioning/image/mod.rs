//! The image of a Machine: which one it is, and its state.

use jiff::Timestamp;
use metal_api::{Machine, MachineStatus, condition};
use metal_core::conditions::{self, Fact};
use metal_text::yaml::{self, LeadingZero};
use serde::Deserialize;

/// Label of a Machine with its architecture, in Go's terms, which selects the image in an index.
pub const ARCHITECTURE: &str = "kubernetes.io/arch";
/// The default architecture.
const DEFAULT_ARCHITECTURE: &str = "amd64";
/// The largest `metadata.yaml`, in bytes.
pub const LARGEST_METADATA: u64 = 64 << 10;

/// The image that a Machine names, and the architecture of the Machine.
pub fn wanted(machine: &Machine) -> Option<(&str, &str)> {
    let image = machine.spec.pxe.as_ref()?.image.trim();
    let labels = machine.metadata.labels.as_ref();
    let architecture = labels.and_then(|labels| labels.get(ARCHITECTURE)).map(|it| it.trim());
    let architecture = architecture.filter(|it| !it.is_empty()).unwrap_or(DEFAULT_ARCHITECTURE);
    (!image.is_empty()).then_some((image, architecture))
}

/// The state of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ImageState {
    /// Not known yet.
    #[default]
    Unknown,
    /// It is being fetched.
    Pulling,
    /// It is available.
    Ready {
        /// Its digest.
        digest: String,
        /// What in it cannot be used, if anything: a template that cannot be rendered.
        flaw: Option<String>,
    },
    /// It is not available.
    Failed {
        /// CamelCase reason, from a small fixed set.
        reason: &'static str,
        /// The cause, for people.
        message: String,
    },
}

/// Records the state of the image in a status.
pub fn record(status: &mut MachineStatus, machine: &Machine, state: &ImageState, now: Timestamp) {
    let fact =
        |holds, reason, message| Fact { type_: condition::IMAGE_READY, holds, reason, message };
    let fact = match state {
        // What was recorded before may still be true.
        ImageState::Unknown => return,
        ImageState::Pulling if holds(status) => return,
        ImageState::Pulling => fact(false, "Pulling", "the image is being downloaded"),
        ImageState::Ready { digest, flaw: None } => fact(true, "Pulled", digest),
        ImageState::Ready { flaw: Some(flaw), .. } => fact(false, "TemplateUnusable", flaw),
        ImageState::Failed { reason, message } => fact(false, reason, message),
    };
    conditions::set(&mut status.conditions, fact, machine.metadata.generation, now);
}

fn holds(status: &MachineStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition::IMAGE_READY && it.status == "True")
}

/// An image's description of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Path of the loader that firmware boots.
    #[serde(default)]
    pub dhcp_boot_image_name: Option<String>,
}

/// The file is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata.yaml: {0}")]
pub struct MalformedMetadata(String);

/// Parses `metadata.yaml`. Unknown fields are ignored.
///
/// # Errors
///
/// If it is not YAML, or the loader's name is invalid.
pub fn metadata(text: &[u8]) -> Result<Metadata, MalformedMetadata> {
    let malformed = |what: &str| MalformedMetadata(conditions::cut(what, 200).into_owned());
    let text = std::str::from_utf8(text).map_err(|_| malformed("not UTF-8"))?;
    if text.len() as u64 > LARGEST_METADATA {
        return Err(malformed("larger than 64 KiB"));
    }
    let metadata: Option<Metadata> =
        yaml::read(text, LeadingZero::Decimal).map_err(|error| malformed(&error.to_string()))?;
    let metadata = metadata.unwrap_or_default();
    let name = metadata.dhcp_boot_image_name.filter(|name| !name.is_empty());
    // DHCP's `file` field holds this many bytes, and options do not hold many more.
    let fits = |name: &String| name.len() < 128 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.as_ref().is_some_and(|name| !fits(name)) {
        return Err(malformed(
            "dhcpBootImageName: must be at most 127 printable ASCII characters without spaces",
        ));
    }
    Ok(Metadata { dhcp_boot_image_name: name })
}

#[cfg(test)]
mod tests;
