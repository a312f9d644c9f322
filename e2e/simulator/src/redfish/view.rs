//! A machine as its BMC shows it at a given moment.

use crate::{
    config::Config,
    machine::{Machine, State},
};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use tokio::time::Instant;

/// The input of rendering.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) machine: &'a Machine,
    pub(super) state: &'a State,
    pub(super) now: Instant,
}

impl View<'_> {
    /// The number of the machine among the systems of its BMC, counted from 1.
    pub(super) fn number(&self) -> u32 {
        self.machine.index - self.config.systems_beside(self.machine.index).start + 1
    }

    /// The numbers of all systems of the BMC.
    pub(super) fn numbers(&self) -> RangeInclusive<u32> {
        let systems = self.config.systems_beside(self.machine.index);
        1..=systems.end - systems.start
    }

    /// The path of the system, which those of its parts begin with.
    pub(super) fn system_uri(&self) -> String {
        format!("/redfish/v1/Systems/{}", self.number())
    }

    /// The path of its chassis.
    pub(super) fn chassis_uri(&self) -> String {
        format!("/redfish/v1/Chassis/{}", self.number())
    }

    /// References to all members of a collection that has one for each system.
    pub(super) fn of_each_system(&self, collection: &str) -> Vec<Value> {
        let members = self.numbers();
        members.map(|number| link(format!("/redfish/v1/{collection}/{number}"))).collect()
    }
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
