//! The body of every resource.

use super::{
    accounts, boot, metadata, parts,
    route::Resource,
    tasks,
    view::{View, collection},
};
use serde_json::{Value, json};

impl View<'_> {
    /// The body of a resource without its ETag; `None` if this machine has no such part.
    pub(super) fn render(&self, resource: Resource) -> Option<Value> {
        Some(match resource {
            Resource::Versions => json!({ "v1": "/redfish/v1/" }),
            Resource::Root => self.root(),
            Resource::Odata => metadata::service_document(),
            Resource::System => self.system(),
            Resource::Processors => parts::processors(),
            Resource::Processor(number) => self.processor(number)?,
            Resource::MemoryModules => self.memory_modules(),
            Resource::MemoryModule(number) => self.memory_module(number)?,
            Resource::Storage => self.storage(),
            Resource::Drives => self.drives(),
            Resource::Drive(number) => self.drive(number)?,
            Resource::Volume => self.volume()?,
            Resource::Interfaces => self.interfaces(),
            Resource::Interface(number) => self.interface(number)?,
            Resource::BootOptions => boot::options(),
            Resource::BootOption(number) => boot::option(number)?,
            Resource::Manager => self.manager(),
            Resource::ManagerInterface => self.manager_interface(),
            Resource::VirtualCd => self.virtual_cd(),
            Resource::Chassis => self.chassis(),
            Resource::SessionService => self.session_service(),
            Resource::Sessions => self.sessions(),
            Resource::Session(id) => self.session(id)?,
            Resource::AccountService => self.account_service(),
            Resource::Account => self.account(),
            Resource::Role => accounts::role(),
            Resource::TaskService => tasks::service(),
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
