//! The whole stack around one machine with real firmware.
//!
//! ```text
//!   BMC of the simulator ◄── metal-operator (Redfish, on loopback)
//!     └── QEMU ── tap0 ── br0 10.77.0.1/24: netboot, boot-operator, registry of the metal-operator
//! ```

use crate::{
    logs::tail,
    path::Path,
    site::{Peers, Site},
};
use anyhow::{Context, Result};
use e2e::{
    cluster::eventually,
    stack::{DISCOVERY, Machine, Operator, Settings, Stack},
};
use jiff::Timestamp;
use metal_api::ServerState;
use metal_simulator::{Config, Event, Vm};
use std::{fs, net::SocketAddr, time::Duration};
use tempfile::TempDir;

/// How long firmware may take to report what is wrong.
const LIMIT: Duration = Duration::from_mins(10);

/// The whole lab.
pub(crate) struct Lab {
    path: Path,
    site: Site,
    stack: Stack,
    netboot: Operator,
    peers: Peers,
    vm: Vm,
    _folder: TempDir,
}

impl Lab {
    /// Starts everything; the machine is off, and has no Endpoint yet.
    pub(crate) async fn start(path: Path, site: Site) -> Self {
        Self::try_start(path, site).await.unwrap()
    }

    async fn try_start(path: Path, site: Site) -> Result<Self> {
        site.connect()?;
        let folder = tempfile::tempdir()?;
        let vm = path.vm(Vm::new(folder.path().join("0"), "tap0"), folder.path())?;
        let fleet =
            Config { vms: [(0, vm.clone())].into(), profile: path.profile(), ..Config::default() };
        let stack = Stack::start(Settings {
            fleets: vec![fleet],
            address: Some(site.address()),
            discovery: path.discovery(folder.path())?,
            metal: vec![
                "--power-polling-interval=1s".to_owned(),
                format!("--virtual-media-url=http://{}", SocketAddr::new(site.address(), 8082)),
            ],
            boot: path.boot_flags(folder.path(), site.address())?,
            ..Settings::default()
        })
        .await?;
        let files = path.files(folder.path())?;
        if !files.is_empty() {
            let files = files.iter().map(|(name, kind, content)| (*name, (*kind, &**content)));
            stack.registry.push_files(DISCOVERY, &files.collect::<Vec<_>>()).await?;
        }
        let peers = site.start(&stack.cluster).await?;
        let netboot = netboot(&stack, site).await?;
        Ok(Self { path, site, stack, netboot, peers, vm, _folder: folder })
    }

    /// Plugs in the machine, waits until its server is `Available`, and prints how long that took
    /// from power-on.
    pub(crate) async fn machine_becomes_available(&self) {
        let machine = self.stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        let reported = self.told(machine.enters(ServerState::Discovery).await);
        assert_eq!(reported.metadata.name, Some(machine.server_name()));
        if let Some(words) = self.site.console_first() {
            self.told(self.console_line(words).await);
        }
        let server = self.told(machine.enters(ServerState::Available).await);
        let available = Timestamp::now();
        let on = powered_on(&machine).unwrap();
        let seconds = available.duration_since(on).as_secs_f64();
        let (path, site) = (self.path.name(), self.site.name());
        println!("firmware: {path}{site}: {seconds:.1} s from power-on to Available");
        let status = server.status.unwrap_or_default();
        let macs: Vec<_> = status.network_interfaces.iter().map(|it| &*it.mac_address).collect();
        let mac = machine.simulator().hardware(0).unwrap().nics()[0].mac.to_string();
        assert!(macs.contains(&mac.as_str()), "{mac} is not among {macs:?}");
    }

    /// A medium was inserted, read, and ejected before the server was available.
    pub(crate) fn medium_was_ejected(&self) {
        let report = self.stack.machine(0, 0).unwrap().report().unwrap();
        let of_media = [Event::MediumInserted, Event::Medium, Event::MediumEjected];
        let events: Vec<_> = report
            .journal
            .entries()
            .map(|it| it.event)
            .filter(|it| of_media.contains(it))
            .collect();
        assert_eq!(events, of_media, "{report:#?}");
        let log = self.stack.metal.printed().unwrap();
        assert!(log.contains("InsertMedium") && !log.contains("/media/"), "{}", tail(&log));
    }

    /// The machine does not boot what it gets, prints `words` on its console, and does not become
    /// available.
    pub(crate) async fn machine_refuses(&self, words: &str) {
        let machine = self.stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        self.told(machine.enters(ServerState::Discovery).await);
        let said = self.told(self.console_line(words).await);
        let seconds = Timestamp::now().duration_since(powered_on(&machine).unwrap());
        let (path, seconds) = (self.path.name(), seconds.as_secs_f64());
        println!("firmware: {path}: refused {seconds:.1} s after power-on: {said}");
        let server = self.told(machine.server("there", |_| true).await);
        let state = server.status.and_then(|status| status.state);
        assert_eq!(state, Some(ServerState::Discovery));
    }

    /// The line on the console with these words, once it appears.
    async fn console_line(&self, words: &str) -> Result<String> {
        eventually(LIMIT, async || {
            let console = fs::read(self.vm.console())?;
            let console = String::from_utf8_lossy(&console).into_owned();
            let line = console.lines().find(|line| line.contains(words));
            Ok(line.with_context(|| format!("no {words:?} on the console"))?.trim().to_owned())
        })
        .await
    }

    /// Unwraps a result, with everything that could explain an error.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    fn told<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let console = fs::read(self.vm.console()).unwrap_or_default();
            let logs = [
                ("console", String::from_utf8_lossy(&console).into_owned()),
                ("peers", self.peers.printed()),
                ("netboot", self.netboot.printed().unwrap_or_default()),
                ("boot-operator", self.stack.boot.printed().unwrap_or_default()),
                ("metal-operator", self.stack.metal.printed().unwrap_or_default()),
            ];
            let logs = logs.map(|(name, log)| format!("== {name}\n{}", tail(&log)));
            let report = self.stack.machine(0, 0).and_then(|machine| machine.report());
            panic!("{}: {error:#}\n{}\n{report:#?}", self.path.name(), logs.join("\n"));
        })
    }
}

fn powered_on(machine: &Machine<'_>) -> Result<Timestamp> {
    let report = machine.report()?;
    let on = report.journal.entries().find(|entry| entry.event == Event::PoweredOn);
    Ok(on.context("it was never on")?.at)
}

async fn netboot(stack: &Stack, site: Site) -> Result<Operator> {
    // The API server has the URL of the UKI.
    let service = SocketAddr::new(site.address(), 8082);
    let boot = format!("uefi: {}, ipxe: 'http://{service}/ipxe/${{uuid}}'", site.loader());
    stack.netboot(&site.config(&boot)).await
}
