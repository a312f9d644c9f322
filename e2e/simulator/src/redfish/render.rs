//! The body of every resource.

use super::{
    accounts, metadata,
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
            Resource::Systems => self.systems(),
            Resource::Processors => self.processors(),
            Resource::Processor(number) => self.processor(number)?,
            Resource::MemoryModules => self.memory_modules(),
            Resource::MemoryModule(number) => self.memory_module(number)?,
            Resource::Storages => self.storages(),
            Resource::Storage => self.storage(),
            Resource::Volumes => self.volumes(),
            Resource::Drives => self.drives(),
            Resource::Drive(number) => self.drive(number)?,
            Resource::Volume => self.volume()?,
            Resource::Interfaces => self.interfaces(),
            Resource::Interface(number) => self.interface(number)?,
            Resource::BootOptions => self.boot_options(),
            Resource::BootOption(number) => self.boot_option(number)?,
            Resource::Manager => self.manager(),
            Resource::ManagerInterface => self.manager_interface(),
            Resource::VirtualCd => self.virtual_cd(),
            Resource::ChassisCollection => self.chassis_collection(),
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

    fn systems(&self) -> Value {
        let uri = "/redfish/v1/Systems";
        collection("ComputerSystem", "ComputerSystem", uri, self.numbers())
    }

    fn chassis_collection(&self) -> Value {
        collection("Chassis", "Chassis", "/redfish/v1/Chassis", self.numbers())
    }
}

/// Collections that are the same on every machine.
fn with_one_member(resource: Resource) -> Option<Value> {
    let (kind, uri, member) = match resource {
        Resource::Managers => ("Manager", "/redfish/v1/Managers", "BMC"),
        Resource::ManagerInterfaces => {
            ("EthernetInterface", "/redfish/v1/Managers/BMC/EthernetInterfaces", "1")
        }
        Resource::VirtualMedia => ("VirtualMedia", "/redfish/v1/Managers/BMC/VirtualMedia", "CD"),
        Resource::Accounts => ("ManagerAccount", "/redfish/v1/AccountService/Accounts", "1"),
        Resource::Roles => ("Role", "/redfish/v1/AccountService/Roles", "Administrator"),
        _ => return None,
    };
    Some(collection(kind, kind, uri, [member]))
}
