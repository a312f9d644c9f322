//! What a boot needs of a Secret: the ignition in the form that a machine reads, or its own script.

use k8s_openapi::api::core::v1::Secret;
use metal_ignition::{
    butane::{self, Untranslated},
    validation,
};

/// Key of the ignition.
pub(crate) const IGNITION: &str = "ignition";
/// Key of the ignition's format.
const FORMAT: &str = "format";
/// Key of an iPXE script.
pub(crate) const SCRIPT: &str = "ipxe-script";

/// What a boot needs of a Secret.
pub(crate) struct BootSecret {
    /// The ignition in the form that a machine reads.
    pub ignition: Payload,
    /// An iPXE script.
    pub script: Option<bytes::Bytes>,
    /// Why its content was most likely meant to be translated.
    pub untranslated: Option<Untranslated>,
    /// Version of the Secret.
    pub version: Option<String>,
}

/// An ignition.
pub(crate) enum Payload {
    /// There is none.
    Missing,
    /// This one.
    Usable(bytes::Bytes),
    /// One that cannot be translated, or that machines would refuse, with the reason.
    Broken(String),
}

impl BootSecret {
    /// What there is in a Secret.
    pub(crate) fn of(secret: Secret) -> Self {
        let mut data = secret.data.unwrap_or_default();
        let format = data.remove(FORMAT).map(|format| format.0).unwrap_or_default();
        let is_butane = format.trim_ascii() == butane::FORMAT.as_bytes();
        let content = data.remove(IGNITION);
        let untranslated = content.as_ref().and_then(|content| {
            let format = String::from_utf8_lossy(&format);
            let is_foreign =
                matches!(validation::check(&content.0), Ok(validation::Content::Foreign));
            let text = is_foreign.then(|| String::from_utf8_lossy(&content.0));
            butane::untranslated(&format, &text?)
        });
        let ignition = match content {
            None => Payload::Missing,
            Some(bytes) if is_butane => match str::from_utf8(&bytes.0).map(butane::translate) {
                Ok(Ok(json)) => Payload::Usable(json.into()),
                Ok(Err(error)) => Payload::Broken(error.to_string()),
                Err(_) => Payload::Broken("not UTF-8".to_owned()),
            },
            Some(bytes) => Payload::of(bytes.0.into()),
        };
        let script = data.remove(SCRIPT).map(|script| script.0.into());
        Self { ignition, script, untranslated, version: secret.metadata.resource_version }
    }

    /// A stored Secret: possibly stored by a version that accepted more than this one.
    pub(crate) fn kept(ignition: Option<bytes::Bytes>, script: Option<bytes::Bytes>) -> Self {
        let ignition = ignition.map_or(Payload::Missing, Payload::of);
        Self { ignition, script, untranslated: None, version: None }
    }

    /// Its size in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let ignition = match &self.ignition {
            Payload::Missing => 0,
            Payload::Usable(bytes) => bytes.len(),
            Payload::Broken(why) => why.len(),
        };
        ignition + self.script.as_ref().map_or(0, bytes::Bytes::len)
    }
}

impl Payload {
    /// Content that is passed on unchanged. If it is Ignition, machines must be able to read it.
    fn of(bytes: bytes::Bytes) -> Self {
        match validation::check(&bytes) {
            Ok(_) => Self::Usable(bytes),
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}
