//! Everything that is attacked, the honest machines beside it, and the report of an attack.

use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{eventually, workspace},
    namespace::{Network, ip},
    stack::{Machine, Operator, Prefix, Settings, Stack, quick},
};
use metal_api::ServerState;
use metal_simulator::{Account, BootTarget, Config, MacPrefix, Profile};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

/// The operators' address; they are on their usual ports.
pub(crate) const OPERATORS: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// netboot's address on the boot network, and on the network of the BMCs.
pub(crate) const NETBOOT: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 254);
pub(crate) const NETBOOT_AT_BMCS: Ipv4Addr = Ipv4Addr::new(10, 67, 0, 254);
/// netboot's address on the link of an honest client that loads a file.
pub(crate) const NETBOOT_AT_HONEST: Ipv4Addr = Ipv4Addr::new(10, 68, 0, 254);
/// A BMC that was known before the attack, and which attackers want to impersonate.
pub(crate) const KNOWN_MAC: [u8; 6] = [0x02, 0xbb, 0xcc, 0, 0, 0x0a];
pub(crate) const KNOWN: Ipv4Addr = Ipv4Addr::new(10, 67, 0, 100);
/// The first and last address for BMCs without a reservation.
pub(crate) const POOL_OF_BMCS: [Ipv4Addr; 2] =
    [Ipv4Addr::new(10, 67, 1, 0), Ipv4Addr::new(10, 67, 3, 255)];
/// Port of the BMCs that are found by DHCP.
pub(crate) const REDFISH: u16 = 8000;
/// The file that everybody boots; large enough for some hundred round trips.
pub(crate) const FILE: &str = "boot.efi";
const FILE_BYTES: usize = 1 << 20;

const MACHINES: u32 = 32;
const LIMIT: Duration = Duration::from_mins(5);

/// The size of the attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Takes less than a minute with debug binaries.
    Small,
    /// What the binaries must withstand.
    Full,
}

impl Scale {
    /// Chooses one of two values.
    pub(crate) fn of<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }
}

/// The binary that an attack is aimed at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Metal,
    Boot,
    Netboot,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Metal => "metal-operator",
            Self::Boot => "boot-operator",
            Self::Netboot => "netboot",
        }
    }

    /// Its memory limit in `bases/`.
    fn limit(self) -> Result<u64> {
        let name = self.name();
        let file = fs::read_to_string(workspace().join(format!("bases/{name}/deployment.yaml")))?;
        let line = file.lines().find_map(|line| line.trim().strip_prefix("limits: { memory: "));
        let (mib, _) = line.context("no limit")?.split_once("Mi").context("no MiB")?;
        let mib: u64 = mib.parse()?;
        Ok(mib << 20)
    }
}

/// The whole site.
pub(crate) struct Site {
    pub(crate) stack: Stack,
    pub(crate) scale: Scale,
    pub(crate) boot: Wire,
    pub(crate) bmcs: Wire,
    /// An honest client, with a kernel's own TCP/IP stack.
    pub(crate) honest: Network,
    netboot: Operator,
    lost: Vec<String>,
    used: u32,
}

impl Site {
    pub(crate) async fn start(scale: Scale) -> Result<Self> {
        ip(&format!("address add {OPERATORS}/32 dev lo"))?;
        let boot = Wire::plug("boot", NETBOOT)?;
        let bmcs = Wire::plug("bmcs", NETBOOT_AT_BMCS)?;
        let stack = Stack::start(settings()).await?;
        let account = Account { username: "root".to_owned(), password: "calvin".to_owned() };
        let prefix: MacPrefix = "02:bb:cc".parse().context("a prefix")?;
        stack.macdb.add(Prefix::new(prefix, REDFISH, account)).await?;
        let honest = Network::new(&stack.cluster, "honest").await?;
        honest.link("honest", &format!("{NETBOOT_AT_HONEST}/24"))?;
        let netboot = start_netboot(&stack).await?;
        Ok(Self { stack, scale, boot, bmcs, honest, netboot, lost: Vec::new(), used: 0 })
    }

    /// A machine that no attack has used before.
    pub(crate) fn next_machine(&mut self) -> Result<Machine<'_>> {
        self.used += 1;
        self.stack.machine(0, self.used - 1)
    }

    /// Plugs in the next machine and waits until it is Available, to show that discovery still
    /// works.
    pub(crate) async fn one_more_server(&mut self) -> Result<Machine<'_>> {
        let machine = self.next_machine()?;
        machine.plug_in().await?;
        machine.enters(ServerState::Available).await?;
        Ok(machine)
    }

    /// Prints the outcome of an attack: the longest that an honest client had to wait meanwhile, or
    /// what was lost.
    #[expect(clippy::print_stdout, reason = "the line of this attack")]
    pub(crate) fn tell(&mut self, what: &str, target: Target, honest: Result<Duration>) {
        let outcome = honest.and_then(|waited| {
            let (peak, limit) = (self.peak_memory(target)?, target.limit()?);
            ensure!(peak < limit, "{} of {} MiB of memory", peak >> 20, limit >> 20);
            let (ms, name) = (waited.as_millis(), target.name());
            let (peak, limit) = (peak >> 20, limit >> 20);
            Ok(format!("honest client {ms} ms, {name} {peak} MiB of {limit}, lost: nothing"))
        });
        let line = outcome.unwrap_or_else(|error| {
            self.lost.push(format!("{what}: {error:#}"));
            format!("lost: {error:#}")
        });
        println!("{what:<58} {line}");
    }

    fn peak_memory(&self, target: Target) -> Result<u64> {
        match target {
            Target::Metal => self.stack.metal.peak_memory(),
            Target::Boot => self.stack.boot.peak_memory(),
            Target::Netboot => self.netboot.peak_memory(),
        }
    }

    /// netboot's lease file.
    pub(crate) fn leases(&self) -> Result<String> {
        Ok(fs::read_to_string(self.stack.cluster.scratch().join("netboot/leases/leases"))?)
    }

    /// Fails if anything was lost.
    pub(crate) fn end(self) {
        assert!(self.lost.is_empty(), "{:#?}", self.lost);
    }
}

/// Waits for something to succeed.
pub(crate) async fn soon<T>(attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    eventually(LIMIT, attempt).await
}

/// Every TCP port that an attacker can reach, and a path that is served there.
pub(crate) fn ports(site: &Site) -> [(&'static str, Target, SocketAddr, &'static str); 7] {
    let at = |port| SocketAddr::from((OPERATORS, port));
    [
        ("boot port", Target::Boot, at(8082), "/ipxe/"),
        ("image port", Target::Boot, at(8083), "/image"),
        ("registry", Target::Metal, at(10000), "/systems/a"),
        ("metrics", Target::Metal, at(8443), "/metrics"),
        ("metrics", Target::Boot, at(8444), "/metrics"),
        ("health", Target::Metal, site.stack.metal.health(), "/healthz"),
        ("health", Target::Boot, site.stack.boot.health(), "/healthz"),
    ]
}

/// Operators with their defaults, and fast machines.
fn settings() -> Settings {
    let metal = ["--power-polling-interval=1s".to_owned(), metrics(8443)];
    let none = Ipv4Addr::new(192, 0, 2, 1);
    let boot = [
        format!("--trusted-proxies={none}/32"),
        format!("--dhcp-servers={none}/32"),
        "--ignition-by-uuid=never".to_owned(),
    ];
    let targets = vec![BootTarget::None, BootTarget::Pxe, BootTarget::Hdd, BootTarget::Cd];
    let fleet = Config {
        machines: MACHINES,
        seed: 1,
        bmc_base: Ipv4Addr::new(127, 1, 1, 1),
        profile: Profile { boot_targets: targets, ..Profile::default() },
        timing: quick(),
        ..Config::default()
    };
    Settings {
        fleets: vec![fleet],
        metal: metal.into(),
        boot: boot.into_iter().chain([metrics(8444)]).collect(),
        address: Some(IpAddr::V4(OPERATORS)),
        ..Settings::default()
    }
}

fn metrics(port: u16) -> String {
    format!("--metrics-bind-address={OPERATORS}:{port}")
}

async fn start_netboot(stack: &Stack) -> Result<Operator> {
    let scratch = stack.cluster.scratch();
    let root = scratch.join("root");
    fs::create_dir(&root)?;
    fs::write(root.join(FILE), vec![7; FILE_BYTES])?;
    let [first, last] = POOL_OF_BMCS;
    let known = KNOWN_MAC.map(|byte| format!("{byte:02x}")).join(":");
    let text = format!(
        "interfaces: [boot, bmcs]\n\
         conflictProbe: false\n\
         boot: {{ uefi: {FILE} }}\n\
         tftp: {{ root: '{}', listen: [0.0.0.0] }}\n\
         subnets:\n\
         - {{ subnet: 10.66.0.0/16, ranges: [10.66.100.0-10.66.199.255] }}\n\
         - subnet: 10.67.0.0/16\n  \
           bmc: true\n  \
           ranges: [{first}-{last}]\n  \
           reservations: [{{ mac: '{known}', ip: {KNOWN} }}]\n",
        root.display()
    );
    stack.netboot(&text).await
}
