//! A machine as its BMC shows it, at one moment.

use super::route::Resource;
use crate::{
    config::Config,
    machine::{Machine, State},
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// What rendering may look at.
pub(super) struct View<'a> {
    pub(super) config: &'a Config,
    pub(super) machine: &'a Machine,
    pub(super) state: &'a State,
    pub(super) now: Instant,
}

impl View<'_> {
    /// The body of a resource without its ETag; `None` if this machine has no such part.
    pub(super) fn render(&self, resource: Resource) -> Option<Value> {
        Some(match resource {
            Resource::Versions => json!({ "v1": "/redfish/v1/" }),
            Resource::Root => self.root(),
            Resource::Odata => super::metadata::service_document(),
            Resource::System => self.system(),
            Resource::Processors => super::parts::processors(),
            Resource::Processor(number) => self.processor(number)?,
            Resource::MemoryModules => self.memory_modules(),
            Resource::MemoryModule(number) => self.memory_module(number)?,
            Resource::Storage => self.storage(),
            Resource::Drives => self.drives(),
            Resource::Drive(number) => self.drive(number)?,
            Resource::Volume => self.volume()?,
            Resource::Interfaces => self.interfaces(),
            Resource::Interface(number) => self.interface(number)?,
            Resource::BootOptions => super::boot::options(),
            Resource::BootOption(number) => super::boot::option(number)?,
            Resource::Manager => self.manager(),
            Resource::ManagerInterface => self.manager_interface(),
            Resource::VirtualCd => self.virtual_cd(),
            Resource::Chassis => self.chassis(),
            Resource::SessionService => self.session_service(),
            Resource::Sessions => self.sessions(),
            Resource::Session(id) => self.session(id)?,
            Resource::AccountService => self.account_service(),
            Resource::Account => self.account(),
            Resource::Role => super::accounts::role(),
            Resource::TaskService => super::tasks::service(),
            Resource::Tasks => self.tasks(),
            Resource::Task(id) => self.task(id)?,
            other => return with_one_member(other),
        })
    }

    /// A collection with its members in place of links: `$expand=.`.
    pub(super) fn expand(&self, mut collection: Value) -> Value {
        if let Some(Value::Array(members)) = collection.get_mut("Members") {
            for member in members {
                let uri = member["@odata.id"].as_str();
                let whole = uri.and_then(Resource::at).and_then(|at| self.render(at));
                if let Some(whole) = whole {
                    *member = whole;
                }
            }
        }
        collection
    }
}

/// Collections that are the same on every machine.
fn with_one_member(resource: Resource) -> Option<Value> {
    let (kind, uri, member) = match resource {
        Resource::Systems => ("ComputerSystem", "/redfish/v1/Systems", "1"),
        Resource::Storages => ("Storage", "/redfish/v1/Systems/1/Storage", "1"),
        Resource::Volumes => ("Volume", "/redfish/v1/Systems/1/Storage/1/Volumes", "1"),
        Resource::Managers => ("Manager", "/redfish/v1/Managers", "BMC"),
        Resource::ManagerInterfaces => {
            ("EthernetInterface", "/redfish/v1/Managers/BMC/EthernetInterfaces", "1")
        }
        Resource::VirtualMedia => ("VirtualMedia", "/redfish/v1/Managers/BMC/VirtualMedia", "CD"),
        Resource::ChassisCollection => ("Chassis", "/redfish/v1/Chassis", "1"),
        Resource::Accounts => ("ManagerAccount", "/redfish/v1/AccountService/Accounts", "1"),
        Resource::Roles => ("Role", "/redfish/v1/AccountService/Roles", "Administrator"),
        _ => return None,
    };
    Some(collection(kind, kind, uri, [member]))
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

/// ETag of a body (FNV-1a, 64 bits): equal bodies have equal tags, whatever happened between them.
pub(super) fn etag(body: &Value) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in body.to_string().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("\"{hash:016x}\"")
}
