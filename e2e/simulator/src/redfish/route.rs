//! Maps paths to resources.

/// One resource. Numbers count from 1, as in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Versions,
    Root,
    Metadata,
    Odata,
    Systems,
    System,
    SystemReset,
    Processors,
    Processor(u32),
    MemoryModules,
    MemoryModule(u32),
    Storages,
    Storage,
    Drives,
    Drive(u32),
    Volumes,
    Volume,
    Interfaces,
    Interface(u32),
    BootOptions,
    BootOption(u32),
    Managers,
    Manager,
    ManagerReset,
    ManagerInterfaces,
    ManagerInterface,
    VirtualMedia,
    VirtualCd,
    InsertMedia,
    EjectMedia,
    ChassisCollection,
    Chassis,
    SessionService,
    Sessions,
    Session(u32),
    AccountService,
    Accounts,
    Account,
    Roles,
    Role,
    TaskService,
    Tasks,
    Task(u32),
    TaskMonitor(u32),
}

/// Which clients may see a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Everybody (DSP0266, 13.2.2).
    Everybody,
    /// Those that have logged in.
    Users,
}

impl Resource {
    /// The resource at this path.
    pub(super) fn at(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/redfish")?;
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let [first, rest @ ..] = segments.as_slice() else { return Some(Self::Versions) };
        if *first != "v1" {
            return None;
        }
        match rest {
            [] => Some(Self::Root),
            ["$metadata"] => Some(Self::Metadata),
            ["odata"] => Some(Self::Odata),
            ["Systems", rest @ ..] => Self::of_systems(rest),
            ["Managers", rest @ ..] => Self::of_managers(rest),
            ["Chassis"] => Some(Self::ChassisCollection),
            ["Chassis", chassis, rest @ ..] => Self::of_chassis(chassis, rest),
            ["SessionService", rest @ ..] => Self::of_sessions(rest),
            ["AccountService", rest @ ..] => Self::of_accounts(rest),
            ["TaskService", rest @ ..] => Self::of_tasks(rest),
            _ => None,
        }
    }

    fn of_systems(rest: &[&str]) -> Option<Self> {
        let [system, rest @ ..] = rest else { return Some(Self::Systems) };
        number(system)?;
        Some(match rest {
            [] => Self::System,
            ["Actions", "ComputerSystem.Reset"] => Self::SystemReset,
            ["Processors"] => Self::Processors,
            ["Processors", id] => Self::Processor(number(id)?),
            ["Memory"] => Self::MemoryModules,
            ["Memory", id] => Self::MemoryModule(number(id)?),
            ["Storage"] => Self::Storages,
            ["Storage", "1"] => Self::Storage,
            ["Storage", "1", "Volumes"] => Self::Volumes,
            ["Storage", "1", "Volumes", "1"] => Self::Volume,
            ["EthernetInterfaces"] => Self::Interfaces,
            ["EthernetInterfaces", id] => Self::Interface(number(id)?),
            ["BootOptions"] => Self::BootOptions,
            ["BootOptions", id] => Self::BootOption(number(id)?),
            _ => return None,
        })
    }

    fn of_chassis(chassis: &str, rest: &[&str]) -> Option<Self> {
        number(chassis)?;
        Some(match rest {
            [] => Self::Chassis,
            ["Drives"] => Self::Drives,
            ["Drives", id] => Self::Drive(number(id)?),
            _ => return None,
        })
    }

    fn of_managers(rest: &[&str]) -> Option<Self> {
        Some(match rest {
            [] => Self::Managers,
            ["BMC"] => Self::Manager,
            ["BMC", "Actions", "Manager.Reset"] => Self::ManagerReset,
            ["BMC", "EthernetInterfaces"] => Self::ManagerInterfaces,
            ["BMC", "EthernetInterfaces", "1"] => Self::ManagerInterface,
            ["BMC", "VirtualMedia"] => Self::VirtualMedia,
            ["BMC", "VirtualMedia", "CD"] => Self::VirtualCd,
            ["BMC", "VirtualMedia", "CD", "Actions", "VirtualMedia.InsertMedia"] => {
                Self::InsertMedia
            }
            ["BMC", "VirtualMedia", "CD", "Actions", "VirtualMedia.EjectMedia"] => Self::EjectMedia,
            _ => return None,
        })
    }

    fn of_sessions(rest: &[&str]) -> Option<Self> {
        Some(match rest {
            [] => Self::SessionService,
            ["Sessions"] | ["Sessions", "Members"] => Self::Sessions,
            ["Sessions", id] => Self::Session(number(id)?),
            _ => return None,
        })
    }

    fn of_accounts(rest: &[&str]) -> Option<Self> {
        Some(match rest {
            [] => Self::AccountService,
            ["Accounts"] => Self::Accounts,
            ["Accounts", "1"] => Self::Account,
            ["Roles"] => Self::Roles,
            ["Roles", "Administrator"] => Self::Role,
            _ => return None,
        })
    }

    fn of_tasks(rest: &[&str]) -> Option<Self> {
        Some(match rest {
            [] => Self::TaskService,
            ["Tasks"] => Self::Tasks,
            ["Tasks", id] => Self::Task(number(id)?),
            ["TaskMonitors", id] => Self::TaskMonitor(number(id)?),
            _ => return None,
        })
    }

    /// Whether it is an action, which only supports POST.
    pub(super) fn is_action(self) -> bool {
        matches!(
            self,
            Self::SystemReset | Self::ManagerReset | Self::InsertMedia | Self::EjectMedia
        )
    }

    /// `Allow`.
    pub(super) fn allow(self) -> &'static str {
        match self {
            action if action.is_action() => "POST",
            Self::System | Self::Account => "GET, HEAD, PATCH",
            Self::Sessions => "GET, HEAD, POST",
            Self::Session(_) => "GET, HEAD, DELETE",
            _ => "GET, HEAD",
        }
    }

    /// Which clients may see it.
    pub(super) fn audience(self) -> Audience {
        match self {
            Self::Versions | Self::Root | Self::Metadata | Self::Odata => Audience::Everybody,
            _ => Audience::Users,
        }
    }
}

/// The number of the system that a path is about, or whose chassis it is about; `None` if it is
/// about the BMC.
pub(super) fn system(path: &str) -> Option<u32> {
    let mut segments = path.strip_prefix("/redfish/v1/")?.split('/');
    let is_numbered = matches!(segments.next()?, "Systems" | "Chassis");
    segments.next().filter(|_| is_numbered).and_then(number)
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_resource_with_or_without_a_slash_at_its_end() {
        let cases = [
            ("/redfish", Some(Resource::Versions)),
            ("/redfish/", Some(Resource::Versions)),
            ("/redfish/v1", Some(Resource::Root)),
            ("/redfish/v1/", Some(Resource::Root)),
            ("/redfish/v1/Systems/1/", Some(Resource::System)),
            ("/redfish/v1/Systems/2", Some(Resource::System)),
            ("/redfish/v1/Systems/02", None),
            ("/redfish/v1/Systems/1/Memory/3", Some(Resource::MemoryModule(3))),
            ("/redfish/v1/Systems/1/Memory/03", None),
            ("/redfish/v1/Systems/1/Memory/0", None),
            ("/redfish/v2", None),
            ("/", None),
        ];
        for (path, resource) in cases {
            assert_eq!(Resource::at(path), resource, "{path}");
        }
    }

    #[test]
    fn a_path_says_which_system_it_is_about() {
        let cases = [
            ("/redfish/v1/Systems/3", Some(3)),
            ("/redfish/v1/Systems/3/Storage/1", Some(3)),
            ("/redfish/v1/Chassis/2/Drives", Some(2)),
            ("/redfish/v1/Systems", None),
            ("/redfish/v1/Systems/HGX_Baseboard_0", None),
            ("/redfish/v1/AccountService/Accounts/1", None),
        ];
        for (path, number) in cases {
            assert_eq!(system(path), number, "{path}");
        }
    }
}
