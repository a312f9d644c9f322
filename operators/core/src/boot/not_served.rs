//! Boot configs that a person made, and that no machine gets.

/// What a boot config that a person made says about its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManualBoot<'a> {
    /// `spec.systemUUID`, if it is not empty.
    pub system_uuid: Option<&'a str>,
    /// Whether that identifies a machine.
    pub is_unique: bool,
    /// Whether machines ask for it, or for its ignition, by their UUID.
    pub needs_uuid: bool,
    /// `spec.networkIdentifiers` of an HTTPBootConfig, which firmware is known by: whether there are
    /// any. `None` for an IPXEBootConfig.
    pub has_addresses: Option<bool>,
    /// The Servers with its UUID or addresses, by name.
    pub servers: Vec<String>,
}

/// Why no machine gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// A Server boots what it refers to.
    #[error(
        "it is for the Server {0}, which boots only what its spec.bootConfigurationRef names, so it is \
         not served: make a ServerBootConfiguration"
    )]
    Server(String),
    /// It has no UUID.
    #[error(
        "spec.systemUUID is not set, so it is not served: machines ask by their UUID, whatever their \
         addresses are"
    )]
    NoUuid,
    /// Its UUID is none, or that of many boards.
    #[error(
        "spec.systemUUID {0:?} identifies no machine, so it is not served: use the UUID of the machine \
         in SMBIOS, if that is no placeholder"
    )]
    NotUnique(String),
    /// Firmware is known by its addresses, and it has none.
    #[error(
        "spec.networkIdentifiers is empty, so it is not served: name the IP or MAC addresses of the \
         machine"
    )]
    NoAddress,
}

/// Longest UUID that is shown, in characters.
const SHOWN: usize = 64;

/// Why no machine gets a boot config that a person made; `None` if one may.
pub fn not_served(config: &ManualBoot<'_>) -> Option<NotServed> {
    if let Some(server) = config.servers.first() {
        return Some(NotServed::Server(server.clone()));
    }
    if config.has_addresses == Some(false) {
        return Some(NotServed::NoAddress);
    }
    match config.system_uuid {
        None if config.needs_uuid => Some(NotServed::NoUuid),
        Some(uuid) if !config.is_unique && config.needs_uuid => {
            Some(NotServed::NotUnique(uuid.chars().take(SHOWN).collect()))
        }
        None | Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_config_that_nobody_gets_says_so() {
        const UUID: Option<&str> = Some("0b3e2f6c-1111-2222-3333-444455556666");
        const SHIPPED: Option<&str> = Some("03000200-0400-0500-0006-000700080009");
        let not_unique = |uuid: Option<&str>| Some(NotServed::NotUnique(uuid.unwrap().to_owned()));
        let server = || Some(NotServed::Server("a".to_owned()));
        for (system_uuid, is_unique, needs_uuid, has_addresses, servers, expected) in [
            // For iPXE.
            (UUID, true, true, None, &[][..], None),
            (None, false, true, None, &[], Some(NotServed::NoUuid)),
            (SHIPPED, false, true, None, &[], not_unique(SHIPPED)),
            (UUID, true, true, None, &["a", "b"], server()),
            // For firmware, without an ignition and with one.
            (None, false, false, Some(true), &[], None),
            (SHIPPED, false, false, Some(true), &[], None),
            (None, false, true, Some(true), &[], Some(NotServed::NoUuid)),
            (SHIPPED, false, true, Some(true), &[], not_unique(SHIPPED)),
            (UUID, true, false, Some(false), &[], Some(NotServed::NoAddress)),
            (None, false, false, Some(true), &["a"], server()),
        ] {
            let servers = servers.iter().map(|name: &&str| (*name).to_owned()).collect();
            let config = ManualBoot { system_uuid, is_unique, needs_uuid, has_addresses, servers };
            assert_eq!(not_served(&config), expected, "{config:?}");
        }
        let long = "a".repeat(10_000);
        let config =
            ManualBoot { system_uuid: Some(&long), needs_uuid: true, ..ManualBoot::default() };
        assert!(not_served(&config).unwrap().to_string().len() < 500);
    }
}
