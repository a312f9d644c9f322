//! A machine as its BMC shows it at a given moment.

use crate::{
    config::Config,
    machine::{Machine, State},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// The input of rendering.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) machine: &'a Machine,
    pub(super) state: &'a State,
    pub(super) now: Instant,
}

/// A reference.
pub(super) fn link(uri: impl Into<String>) -> Value {
    json!({ "@odata.id": uri.into() })
}

/// A collection of references.
pub(super) fn collection<I: ToString>(
    name: &str,
    kind: &str,
    uri: &str,
    members: impl IntoIterator<Item = I>,
) -> Value {
    let members: Vec<_> =
        members.into_iter().map(|id| link(format!("{uri}/{}", id.to_string()))).collect();
    json!({
        "@odata.id": uri,
        "@odata.type": format!("#{kind}Collection.{kind}Collection"),
        "Name": format!("{name} Collection"),
        "Members@odata.count": members.len(),
        "Members": members,
    })
}

/// `Status` of a part that works.
pub(super) fn enabled() -> Value {
    json!({ "State": "Enabled", "Health": "OK" })
}

/// ETag of a body (FNV-1a, 64 bits): equal bodies have equal ETags, whatever happened in between.
pub(super) fn etag(body: &Value) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in body.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("\"{hash:016x}\"")
}
