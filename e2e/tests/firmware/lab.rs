//! The whole stack around one machine with real firmware.
//!
//! ```text
//!   BMC of the simulator ◄── metal-operator (Redfish, on loopback)
//!     └── QEMU ── tap0 ── br0 10.77.0.1/24: netboot, boot-operator, registry of the metal-operator
//! ```

use crate::{
    inside::discovery_image,
    network::{self, ADDRESS, BOOT_SERVICE, Cluster},
};
use anyhow::{Context, Result};
use e2e::{
    cluster::Process,
    sim::{BootMode, BootTarget, Config, Event, Profile, Vm},
    stack::{INITRD, KERNEL, Machine, NAMESPACE, Settings, Stack, UKI},
};
use jiff::Timestamp;
use metal_api::ServerState;
use std::fs;
use tempfile::TempDir;

/// How much of a log is worth printing.
const TAIL: usize = 60;

/// How a machine boots from the network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path {
    /// SeaBIOS, and iPXE in the NIC.
    BiosIpxe,
    /// OVMF, which loads iPXE by TFTP.
    UefiPxe,
    /// OVMF, which loads a UKI.
    UefiHttp,
}

impl Path {
    fn name(self) -> &'static str {
        match self {
            Self::BiosIpxe => "BIOS iPXE",
            Self::UefiPxe => "UEFI PXE, TFTP, iPXE",
            Self::UefiHttp => "UEFI HTTP, UKI",
        }
    }

    /// A BMC that can do this, and nothing else.
    fn profile(self) -> Profile {
        let (mode, target) = match self {
            Self::BiosIpxe => (BootMode::Legacy, BootTarget::Pxe),
            Self::UefiPxe => (BootMode::Uefi, BootTarget::Pxe),
            Self::UefiHttp => (BootMode::Uefi, BootTarget::UefiHttp),
        };
        let boot_targets = vec![BootTarget::None, BootTarget::Hdd, target];
        Profile { boot_targets, boot_modes: vec![mode], ..Profile::default() }
    }
}

/// All of it.
pub(crate) struct Lab {
    path: Path,
    stack: Stack,
    netboot: Process,
    vm: Vm,
    _folder: TempDir,
}

impl Lab {
    /// Starts all of it; the machine is off, and nobody knows of it.
    pub(crate) async fn start(path: Path) -> Self {
        Self::try_start(path).await.unwrap()
    }

    async fn try_start(path: Path) -> Result<Self> {
        network::bridge()?;
        let folder = tempfile::tempdir()?;
        let vm = Vm::new(folder.path().join("0"), "tap0");
        let fleet =
            Config { vms: [(0, vm.clone())].into(), profile: path.profile(), ..Config::default() };
        let stack = Stack::start(Settings {
            fleets: vec![fleet],
            address: Some(ADDRESS),
            discovery: discovery()?,
            metal: vec!["--power-polling-interval=1s".to_owned()],
            ..Settings::default()
        })
        .await?;
        let netboot = netboot(&stack).await?;
        Ok(Self { path, stack, netboot, vm, _folder: folder })
    }

    /// From an Endpoint to `Available`, and how long it takes from the power-on.
    pub(crate) async fn machine_becomes_available(&self) {
        let machine = self.stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        let reported = self.told(machine.enters(ServerState::Discovery).await);
        assert_eq!(reported.metadata.name, Some(machine.server_name()));
        let server = self.told(machine.enters(ServerState::Available).await);
        let available = Timestamp::now();
        let on = powered_on(&machine).unwrap();
        let seconds = available.duration_since(on).as_secs_f64();
        println!("firmware: {}: {seconds:.1} s from power-on to Available", self.path.name());
        let status = server.status.unwrap_or_default();
        let macs: Vec<_> = status.network_interfaces.iter().map(|it| &*it.mac_address).collect();
        let mac = machine.simulator().hardware(0).unwrap().nics()[0].mac.to_string();
        assert!(macs.contains(&mac.as_str()), "{mac} is not among {macs:?}");
    }

    /// What came of something; if nothing, with all that could tell why.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    fn told<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let console = fs::read(self.vm.console()).unwrap_or_default();
            let logs = [
                ("console", String::from_utf8_lossy(&console).into_owned()),
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

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn powered_on(machine: &Machine<'_>) -> Result<Timestamp> {
    let report = machine.report()?;
    let on = report.journal.entries().find(|entry| entry.event == Event::PoweredOn);
    Ok(on.context("it was never on")?.at)
}

/// The layers of the discovery image.
fn discovery() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let folder = discovery_image();
    let layer = |kind, name| Ok((kind, fs::read(folder.join("amd64").join(name)).context(name)?));
    [(KERNEL, "vmlinuz"), (INITRD, "initrd"), (UKI, "uki.efi")]
        .into_iter()
        .map(|(kind, name)| layer(kind, name))
        .collect()
}

/// netboot, under its own account.
async fn netboot(stack: &Stack) -> Result<Process> {
    let account = stack.cluster.service_account_kubeconfig(NAMESPACE, "netboot").await?;
    let cluster = Cluster::At { kubeconfig: &account, macdb: stack.macdb.path() };
    // What a UKI is loaded from, the API server knows.
    let boot = format!("uefi: snponly.efi, ipxe: '{BOOT_SERVICE}/ipxe/${{uuid}}'");
    network::netboot(&stack.cluster.scratch(), &boot, cluster).await
}
