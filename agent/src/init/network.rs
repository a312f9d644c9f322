//! Every network port: its driver, its link, its carrier, its address.

use super::{
    boot_source,
    boot_url::BootUrl,
    dhcp::{self, BootUrlRequest, Firmware},
    dhcp6,
    drivers::Drivers,
    link::Link,
    mounts,
    resolvers::Resolvers,
    routers,
};
use crate::{netlink, root::Root};
use metal_base::Chain;
use std::{collections::BTreeMap, convert::Infallible, time::Duration};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::{Instant, sleep},
};

const LINKS: &str = "/sys/class/net";
const ETHERNET: u16 = 1;
/// How often to check ports and carriers, at first and later.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(2);
const BEGINNING: Duration = Duration::from_secs(20);
/// How often to look for new devices.
const DEVICES: Duration = Duration::from_secs(2);
/// How long a machine may be without a carrier before that is logged, and how often it is repeated.
const PATIENCE: Duration = Duration::from_secs(10);
const REMINDER: Duration = Duration::from_mins(1);

/// Keeps all ports in use, forever.
pub async fn network(root: Root) -> Infallible {
    keep(root, None).await
}

/// The same. If nothing else tells what to boot, the URL that a DHCP server sends goes to `boot_url`.
pub(super) async fn keep(
    root: Root,
    boot_url: Option<watch::Sender<Option<BootUrl>>>,
) -> Infallible {
    let began = Instant::now();
    // Some kernels have the driver for the firmware's variables built in. For others it is loaded.
    mounts::variables().ok();
    let mut drivers = load(Drivers::read(&root), root.clone()).await;
    // The driver for the firmware's variables may be among them.
    let asks = boot_url.is_some() && boot_source::needs_dhcp(&root);
    let firmware = asks.then(|| Firmware { uuid: boot_source::wire_uuid(&root) });
    let boot_url = boot_url.unwrap_or_else(|| watch::channel(None).0);
    let mut ports = Ports::new(root, BootUrlRequest { firmware, boot_url });
    let mut look_for_devices = began + DEVICES;
    let mut complain = began + PATIENCE;
    loop {
        if Instant::now() >= look_for_devices {
            drivers = load(drivers, ports.root.clone()).await;
            look_for_devices = Instant::now() + DEVICES;
        }
        ports.look();
        if Instant::now() >= complain {
            complain = Instant::now() + REMINDER;
            ports.complain();
        }
        sleep(if began.elapsed() < BEGINNING { SOON } else { LATER }).await;
    }
}

/// Loads drivers off the runtime, because some wait for their devices.
async fn load(mut drivers: Drivers, root: Root) -> Drivers {
    let task = spawn_blocking(move || {
        let (loaded, errors) = drivers.load(&root);
        if !loaded.is_empty() {
            tracing::info!(drivers = loaded.join(" "), "drivers loaded");
            // The driver for the firmware's variables may be among them.
            if let Err(error) = mounts::variables() {
                tracing::warn!(error = %Chain(&error), "could not read firmware settings");
            }
        }
        for error in errors {
            tracing::warn!(error = %Chain(&error), "the report may be missing a device");
        }
        drivers
    });
    // If a driver crashes the task, those already loaded stay.
    task.await.unwrap_or_default()
}

#[derive(Debug)]
struct Ports {
    root: Root,
    boot_request: BootUrlRequest,
    resolvers: Resolvers,
    /// Indexes of the ports that were set up, by name.
    on: BTreeMap<String, u32>,
    /// Ports with a carrier, and what keeps their addresses.
    tended: BTreeMap<String, PortTask>,
    tasks: JoinSet<Infallible>,
}

/// A port whose addresses are kept.
#[derive(Debug)]
struct PortTask {
    index: u32,
    task: AbortHandle,
}

impl Ports {
    fn new(root: Root, boot_request: BootUrlRequest) -> Self {
        let (on, tended) = (BTreeMap::new(), BTreeMap::new());
        let resolvers = Resolvers::new();
        Self { root, boot_request, resolvers, on, tended, tasks: JoinSet::new() }
    }

    fn look(&mut self) {
        let Ok(names) = self.root.names(LINKS) else { return };
        let links: Vec<_> = names.iter().filter_map(|name| port(&self.root, name)).collect();
        self.forget_all_but(&links);
        for link in links {
            let name = link.name.clone();
            if !self.on.contains_key(&name) {
                self.switch_on(&link);
            }
            let has_carrier = self.root.flag(&format!("{LINKS}/{name}/carrier"));
            match (has_carrier, self.tended.contains_key(&name)) {
                (true, false) => {
                    tracing::info!(link = name, "link up; requesting an address");
                    let (asked, resolvers) = (self.boot_request.clone(), self.resolvers.clone());
                    let index = link.index;
                    let task = self.tasks.spawn(tend(link, asked, resolvers));
                    self.tended.insert(name, PortTask { index, task });
                }
                (false, true) => {
                    tracing::warn!(link = name, "link down");
                    if let Some(tended) = self.tended.remove(&name) {
                        tended.task.abort();
                    }
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    /// A driver that starts its adapter anew takes its ports away, and brings them back under the same names:
    /// those are others, which nobody has set up.
    fn forget_all_but(&mut self, links: &[Link]) {
        let is_there = |name: &str, index: u32| {
            links.iter().any(|link| (link.name.as_str(), link.index) == (name, index))
        };
        self.on.retain(|name, index| {
            let is_there = is_there(name, *index);
            if !is_there {
                tracing::warn!(link = name, "network port removed");
            }
            is_there
        });
        self.tended.retain(|name, PortTask { index, task }| {
            let is_there = is_there(name, *index);
            if !is_there {
                task.abort();
            }
            is_there && !task.is_finished()
        });
        while self.tasks.try_join_next().is_some() {}
    }

    fn switch_on(&mut self, link: &Link) {
        let driver = self.root.target_name(&format!("{LINKS}/{}/device/driver", link.name));
        let driver = driver.unwrap_or_default();
        let mac = link.mac.map(|octet| format!("{octet:02x}")).join(":");
        match netlink::set_up(link.index) {
            Ok(()) => {
                tracing::info!(link = link.name, mac, driver, "network port found");
                self.on.insert(link.name.clone(), link.index);
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                tracing::warn!(
                    link = link.name,
                    mac,
                    driver,
                    error,
                    "could not bring up the network port"
                );
            }
        }
    }

    /// Tells a person why there is no progress.
    fn complain(&self) {
        if self.on.is_empty() {
            tracing::warn!(
                "no network port found; check that the discovery image contains the driver of \
                 this machine's network adapter"
            );
        } else if self.tended.is_empty() {
            let ports: Vec<_> = self.on.keys().map(String::as_str).collect();
            let ports = ports.join(" ");
            tracing::warn!(
                ports,
                "no port has a link; check cables, transceivers and switch ports"
            );
        }
    }
}

/// Gets an address for a port, and asks DHCPv4 and DHCPv6 servers for name servers, and for what the machine
/// boots.
async fn tend(link: Link, boot_request: BootUrlRequest, resolvers: Resolvers) -> Infallible {
    tokio::select! {
        never = dhcp::keep(&link, &boot_request, &resolvers) => never,
        never = dhcp6::ask(&link, &boot_request, &resolvers) => never,
        never = routers::listen(&link, &resolvers) => never,
    }
}

/// The port behind an interface; `None` unless it is an Ethernet adapter.
fn port(root: &Root, name: &str) -> Option<Link> {
    let path = |file: &str| format!("{LINKS}/{name}/{file}");
    let is_ethernet = root.number(&path("type")) == Some(ETHERNET) && root.has(&path("device"));
    let mac = root.word(&path("address")).and_then(|text| mac(&text))?;
    let index = root.number(&path("ifindex"))?;
    is_ethernet.then(|| Link { name: name.to_owned(), index, mac })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let octets: Option<Vec<u8>> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    octets?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{QEMU, Tree},
        init::wire::{Wire, alone, ip},
    };

    #[test]
    fn only_adapters_with_an_address_are_ports() {
        let tree = Tree::unpack(QEMU);
        let names = tree.root().names(LINKS).unwrap();
        let ports: Vec<_> = names.iter().filter_map(|name| port(&tree.root(), name)).collect();
        assert!(names.contains(&"lo".to_owned()));
        assert!(ports.iter().all(|port| port.name != "lo"));
        assert!(!ports.is_empty());
    }

    #[test]
    fn a_port_that_comes_back_under_its_name_is_set_up_again() {
        alone(async || {
            let tree = Tree::unpack("");
            let request = BootUrlRequest { firmware: None, boot_url: watch::channel(None).0 };
            let mut ports = Ports::new(tree.root(), request);
            for _ in 0..2 {
                let link = Wire::new("port0").link;
                ip("link set port0 down");
                for (file, text) in [
                    ("type", "1".to_owned()),
                    ("address", "52:54:00:12:34:56".to_owned()),
                    ("ifindex", link.index.to_string()),
                    ("device/vendor", String::new()),
                ] {
                    tree.write(&format!("{LINKS}/port0/{file}"), text.as_bytes());
                }
                ports.look();
                assert!(ip("link show port0").contains(",UP"), "{}", ip("link show port0"));
                ip("link del port0");
            }
            tree.remove(&format!("{LINKS}/port0"));
            ports.look();
            assert!(ports.on.is_empty());
        });
    }

    #[test]
    fn what_is_no_hardware_address_is_none() {
        assert_eq!(mac("52:54:00:12:34:56"), Some([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
        assert_eq!(mac("52:54:00:12:34"), None);
        assert_eq!(mac("52:54:00:12:34:zz"), None);
        assert_eq!(mac(""), None);
    }
}
