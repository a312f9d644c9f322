//! The parsers in this crate that read bytes from BMCs, for hack/fuzz.

use crate::{
    redfish::{inventory, manager, media, storage, system},
    transport::{
        encoding::{DecodeError, Encoding},
        json,
        message::{self, Refused},
        redact::Secret,
        root::Root,
        task::{self, Progress},
    },
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use metal_core::redfish::{
    Drive, ManagerReading, MediaSlot, Processor, Storage, SystemReading, Volume,
};
use serde_json::Value;

const URI: &str = "/redfish/v1/Systems/1";

/// The value of a JSON body, within this much memory.
///
/// # Errors
///
/// If it is not JSON, or takes more memory.
pub fn value(body: &[u8], limit: usize) -> Result<Value, String> {
    json::value(body, limit).map_err(|error| metal_base::Chain(&error).to_string())
}

/// The decompressed body; `None` if it is longer than `limit`.
///
/// # Errors
///
/// If it is broken.
#[expect(clippy::type_complexity, reason = "it is for one caller")]
pub fn decode(name: &str, body: &[u8], limit: usize) -> Option<Result<Option<Vec<u8>>, ()>> {
    let value = HeaderValue::from_str(name).ok()?;
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, value)]);
    let decoded = Encoding::of(&headers, body)?.decode(body, limit);
    Some(match decoded {
        Ok(body) => Ok(Some(body)),
        Err(DecodeError::TooLong) => Ok(None),
        Err(DecodeError::Broken) => Err(()),
    })
}

/// A `ComputerSystem`.
pub fn system(body: &Value) -> SystemReading {
    SystemReading { boot: system::boot(&body["Boot"]), ..system::reading(URI.to_owned(), body) }
}

/// A `Manager`.
pub fn manager(body: &Value) -> ManagerReading {
    manager::reading(URI.to_owned(), body)
}

/// A `SimpleStorage`.
pub fn simple_storage(body: &Value) -> Storage {
    storage::simple_storage(URI, body)
}

/// A `Drive`, a `Volume` and a `Processor`.
pub fn parts(body: &Value) -> (Drive, Volume, Processor) {
    let processor = inventory::processor(URI, body);
    (storage::drive(URI, body), storage::volume(URI, body), processor)
}

/// A `VirtualMedia`.
pub fn slot(body: &Value) -> Option<MediaSlot> {
    media::slot(URI.to_owned(), body)
}

/// The links of a service root.
pub fn root(body: &Value) -> Vec<String> {
    let root = Root::read(body);
    [Some(root.systems), root.managers, root.sessions].into_iter().flatten().collect()
}

/// What the messages of an error name.
pub fn named(body: &Value) -> Vec<String> {
    message::named(body)
}

/// A password to be removed from texts.
pub struct Password(Secret);

impl Password {
    /// A password.
    pub fn new(text: &str) -> Self {
        Self(Secret::new(text))
    }
}

/// What is reported of a refusal.
pub fn refusal(body: &[u8], password: &Password) -> String {
    Refused::new(StatusCode::BAD_REQUEST, body, &password.0).to_string()
}

/// What is reported of a task that failed.
pub fn task(body: &Value, password: &Password) -> Option<String> {
    match task::of_task(body) {
        Progress::Failed(how) => Some(message::bounded(&password.0.removed_from(how))),
        _ => None,
    }
}
