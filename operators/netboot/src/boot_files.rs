//! Which boot file a machine gets by TFTP: what the configuration names, unless the machine should
//! boot something else.

use crate::machines::Machines;
use metal_core::boot::decision::Boot;
use metal_dhcp::{
    config::Config,
    fair_queue::Priority,
    tftp::{Folder, ReadRequest, Refusal},
};
use metal_serve::tftp::{Addresses, Files, Found};
use std::{net::IpAddr, sync::Arc};
use tokio::sync::watch;

/// The boot files of the configuration.
#[derive(Debug)]
pub(crate) struct BootFiles {
    /// The configuration, now and after each change.
    pub(crate) config: watch::Receiver<Arc<Config>>,
    /// What machines boot; `None` for what the configuration has.
    pub(crate) machines: Option<Arc<Machines>>,
}

impl BootFiles {
    /// Where they are served.
    pub(crate) fn addresses(&self) -> Addresses<Config> {
        let of = |config: &Config| {
            config.tftp.as_ref().map(|tftp| tftp.listen.clone()).unwrap_or_default()
        };
        Addresses { config: self.config.clone(), of }
    }

    /// What a client boots. One that got its address from another server gets the same as
    /// everybody.
    fn boot_of(&self, client: IpAddr) -> Boot {
        match (&self.machines, client.to_canonical()) {
            (Some(machines), IpAddr::V4(address)) => machines.boot_at(address),
            (None, _) | (_, IpAddr::V6(_)) => Boot::Default,
        }
    }
}

impl Files for BootFiles {
    fn priority_of(&self, client: IpAddr) -> Priority {
        self.config.borrow().priority_of(client)
    }

    fn find(
        &self,
        request: &ReadRequest<'_>,
        client: IpAddr,
        here: IpAddr,
    ) -> Result<Found, Refusal> {
        let config = Arc::clone(&self.config.borrow());
        let folder = Folder::of(&config).ok_or(Refusal::NotNamed)?;
        let path = folder.served(request, here, &self.boot_of(client))?;
        Ok(Found::File { root: folder.root().to_owned(), name: path.clone(), path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::tests::with_an_idle_machine;
    use metal_dhcp::tftp::{Mode, Packet};
    use std::{net::Ipv4Addr, path::PathBuf};

    const TEXT: &str = "
interfaces: [lo]
subnets: []
boot: { uefi: a.efi }
tftp: { root: /boot, listen: [10.0.0.1] }
";

    fn find(files: &BootFiles, name: &str, client: [u8; 4]) -> Result<Found, Refusal> {
        let bytes = format!("\0\x01{name}\0octet\0").into_bytes();
        let Ok(Packet::Read(request)) = Packet::decode(&bytes) else { panic!("a request") };
        assert_eq!(request.mode, Mode::Octet);
        files.find(&request, client.into(), Ipv4Addr::new(10, 0, 0, 1).into())
    }

    #[tokio::test]
    async fn a_machine_that_is_to_boot_something_else_gets_no_file() {
        let (machines, idle) = with_an_idle_machine().await;
        let machines = Arc::new(machines);
        let (_sender, config) = watch::channel(Arc::new(Config::parse(TEXT).unwrap()));
        let files = BootFiles { config, machines: Some(Arc::clone(&machines)) };
        let (root, path) = (PathBuf::from("/boot"), "a.efi".to_owned());
        let file =
            || Ok(Found::File { root: root.clone(), path: path.clone(), name: path.clone() });
        machines.hold([10, 0, 0, 9].into(), Some(idle));
        assert_eq!(find(&files, "a.efi", [10, 0, 0, 9]), Err(Refusal::NotToBoot));
        assert_eq!(find(&files, "a.efi", [10, 0, 0, 8]), file(), "others are served");
        machines.hold([10, 0, 0, 9].into(), None);
        assert_eq!(find(&files, "/boot/a.efi", [10, 0, 0, 9]), file());
        assert_eq!(find(&files, "b.efi", [10, 0, 0, 9]), Err(Refusal::NotNamed));
    }

    #[test]
    fn files_are_served_where_the_configuration_says_and_none_if_it_has_no_section_for_them() {
        let config = Arc::new(Config::parse(TEXT).unwrap());
        let (sender, config) = watch::channel(config);
        let files = BootFiles { config, machines: None };
        let Addresses { of, config } = files.addresses();
        assert_eq!(of(&config.borrow()), ["10.0.0.1:69".parse().unwrap()]);
        sender.send_replace(Arc::new(Config::parse("interfaces: [lo]\nsubnets: []\n").unwrap()));
        assert_eq!(of(&config.borrow()), []);
        assert_eq!(find(&files, "a.efi", [10, 0, 0, 9]), Err(Refusal::NotNamed));
    }
}
