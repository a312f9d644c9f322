//! Everything that is attacked, the honest machines beside it, and the report of an attack.

use crate::{
    ports::{
        HTTPS, METRICS_OF_BOOT, METRICS_OF_HOSTS, METRICS_OF_METAL, METRICS_OF_METALMAN,
        METRICS_OF_NETBOOT, Target,
    },
    wire::Wire,
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{binary, eventually},
    namespace::{Network, ip, run},
    stack::{
        INITRD, KERNEL, Machine, Operator, Overlay, Prefix, Settings, Stack, metalman::Metalman,
        quick, rented::Hosts,
    },
};
use futures::future::try_join_all;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use metal_api::{Server, ServerState, Taint};
use metal_base::Locked;
use metal_simulator::{Account, Config, MacPrefix};
use serde_json::json;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

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

const MACHINES: u32 = 128;
/// How many of them are servers before the first attack: it takes all at once no longer than one.
const SERVERS: u32 = 5;
const LIMIT: Duration = Duration::from_mins(5);
/// How long something that is not to happen gets to happen.
pub(crate) const TEMPTED: Duration = Duration::from_secs(3);

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

    /// How many new BMCs netboot records at once, and again in each minute.
    pub(crate) fn new_bmcs_per_minute(self) -> usize {
        self.of(30, 120)
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
    pub(crate) netboot: Operator,
    pub(crate) metalman: Metalman,
    pub(crate) hosts: Hosts,
    _certificate: TempDir,
    lost: Mutex<Vec<String>>,
    /// How many servers of those before the first attack are used.
    claimed: AtomicU32,
    /// How many machines are plugged in.
    plugged: AtomicU32,
}

impl Site {
    pub(crate) async fn start(scale: Scale) -> Result<Self> {
        ip(&format!("address add {OPERATORS}/32 dev lo"))?;
        let boot = Wire::plug("boot", NETBOOT, Ipv6Addr::new(0xfd66, 0, 0, 0, 0, 0, 0, 1))?;
        let bmcs = Wire::plug("bmcs", NETBOOT_AT_BMCS, Ipv6Addr::new(0xfd67, 0, 0, 0, 0, 0, 0, 1))?;
        let certificate = tempfile::tempdir()?;
        let settings = settings(certificate.path())?;
        // What is installed later is built while the control plane starts.
        let (metalman, hosts) = (Overlay::build("metalman"), Overlay::build("hosts"));
        let (stack, ..) = tokio::try_join!(Stack::start(settings), metalman, hosts)?;
        let account = Account { username: "root".to_owned(), password: "calvin".to_owned() };
        let prefix: MacPrefix = "02:bb:cc".parse().context("a prefix")?;
        stack.macdb.add(Prefix::new(prefix, REDFISH, account)).await?;
        let honest = Network::new(&stack.cluster, "honest").await?;
        honest.link("honest", &format!("{NETBOOT_AT_HONEST}/24"))?;
        let (cluster, flags) = (&stack.cluster, [metrics(METRICS_OF_METALMAN)]);
        let at = format!("{OPERATORS}:{METRICS_OF_HOSTS}");
        let file = binary("hosts").await?;
        let (netboot, metalman, hosts, ()) = tokio::try_join!(
            start_netboot(&stack, scale),
            Metalman::start(cluster, &flags),
            Hosts::start_with_metrics(cluster, &file, &at),
            discover(&stack),
        )?;
        Ok(Self {
            stack,
            scale,
            boot,
            bmcs,
            honest,
            netboot,
            metalman,
            hosts,
            _certificate: certificate,
            lost: Mutex::default(),
            claimed: AtomicU32::new(0),
            plugged: AtomicU32::new(SERVERS),
        })
    }

    /// A machine that no attack has used before.
    pub(crate) fn next_machine(&self) -> Result<Machine<'_>> {
        self.stack.machine(0, self.plugged.fetch_add(1, Ordering::Relaxed))
    }

    /// A server that nobody has admitted, and no attack has used before: one of the first ones while
    /// there are any.
    pub(crate) async fn unused_server(&self) -> Result<Machine<'_>> {
        let index = self.claimed.fetch_add(1, Ordering::Relaxed);
        if index < SERVERS {
            return self.stack.machine(0, index);
        }
        self.one_more_server().await
    }

    /// Plugs in the next machine and waits until it is Available, to show that discovery still
    /// works.
    pub(crate) async fn one_more_server(&self) -> Result<Machine<'_>> {
        let machine = self.next_machine()?;
        becomes_a_server(&machine).await?;
        Ok(machine)
    }

    /// An unused server that a person has admitted.
    pub(crate) async fn admitted_server(&self) -> Result<Machine<'_>> {
        let machine = self.unused_server().await?;
        self.admit(&machine).await?;
        Ok(machine)
    }

    /// Removes the taint of a server that nobody has admitted, as `docs/add-servers.md` says.
    pub(crate) async fn admit(&self, machine: &Machine<'_>) -> Result<()> {
        let servers = Api::<Server>::all(self.stack.client.clone());
        let name = machine.server_name();
        let taints = servers.get(&name).await?.spec.taints;
        ensure!(taints.iter().any(|it| it.key == Taint::NOT_ADMITTED), "{name} was never held");
        let patch = Patch::Merge(json!({ "spec": { "taints": null } }));
        servers.patch(&name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Prints the outcome of an attack: the longest that an honest client had to wait meanwhile, or
    /// what was lost.
    #[expect(clippy::print_stdout, reason = "the line of this attack")]
    pub(crate) fn tell(&self, what: &str, target: Target, honest: Result<Duration>) {
        let outcome = honest.and_then(|waited| {
            let (peak, limit) = (self.peak_memory(target)?, target.limit()?);
            ensure!(peak < limit, "{} of {} MiB of memory", peak >> 20, limit >> 20);
            let (ms, name) = (waited.as_millis(), target.name());
            let (peak, limit) = (peak >> 20, limit >> 20);
            Ok(format!("honest client {ms} ms, {name} {peak} MiB of {limit}, lost: nothing"))
        });
        let line = outcome.unwrap_or_else(|error| {
            self.lost.locked().push(format!("{what}: {error:#}"));
            format!("lost: {error:#}")
        });
        println!("{what:<58} {line}");
    }

    fn peak_memory(&self, target: Target) -> Result<u64> {
        match target {
            Target::Metal => self.stack.metal.peak_memory(),
            Target::Boot => self.stack.boot.peak_memory(),
            Target::Netboot => self.netboot.peak_memory(),
            Target::Metalman => self.metalman.peak_memory(),
            Target::Hosts => self.hosts.process().peak_memory(),
        }
    }

    /// netboot's lease file.
    pub(crate) fn leases(&self) -> Result<String> {
        Ok(fs::read_to_string(self.stack.cluster.scratch().join("netboot/leases/leases"))?)
    }

    /// Fails if anything was lost.
    pub(crate) fn end(self) {
        let lost = self.lost.locked();
        assert!(lost.is_empty(), "{lost:#?}");
    }
}

/// Waits for something to succeed.
pub(crate) async fn soon<T>(attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    eventually(LIMIT, attempt).await
}

/// Plugs in the first machines and waits until they are Available.
async fn discover(stack: &Stack) -> Result<()> {
    let first = (0..SERVERS).map(|index| async move {
        let machine = stack.machine(0, index)?;
        becomes_a_server(&machine).await
    });
    try_join_all(first).await.map(drop)
}

async fn becomes_a_server(machine: &Machine<'_>) -> Result<()> {
    machine.plug_in().await?;
    machine.enters(ServerState::Available).await.map(drop)
}

/// Operators with their defaults, but that new servers are held, as in `config/production`; and fast
/// machines, which are discovered by PXE. With HTTPS, whose certificate is made in this folder.
fn settings(folder: &Path) -> Result<Settings> {
    let metal = [
        "--power-polling-interval=1s".to_owned(),
        "--new-servers=held".to_owned(),
        metrics(METRICS_OF_METAL),
    ];
    let file = |kind: &str| folder.join(format!("tls.{kind}")).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]);
    run(openssl.args(["-keyout", &file("key"), "-out", &file("crt")]))?;
    let boot = [
        metrics(METRICS_OF_BOOT),
        format!("--https-server-address={OPERATORS}:{HTTPS}"),
        format!("--https-certificate-file={}", file("crt")),
        format!("--https-key-file={}", file("key")),
    ];
    let fleet = Config {
        machines: MACHINES,
        seed: 1,
        bmc_base: Ipv4Addr::new(127, 1, 1, 1),
        timing: quick(),
        ..Config::default()
    };
    let layer = |what: &str| what.repeat(512).into_bytes();
    Ok(Settings {
        fleets: vec![fleet],
        metal: metal.into(),
        boot: boot.into(),
        trusts_nobody: true,
        address: Some(IpAddr::V4(OPERATORS)),
        discovery: vec![(KERNEL, layer("kernel")), (INITRD, layer("initrd"))],
        ..Settings::default()
    })
}

fn metrics(port: u16) -> String {
    format!("--metrics-bind-address={OPERATORS}:{port}")
}

async fn start_netboot(stack: &Stack, scale: Scale) -> Result<Operator> {
    let scratch = stack.cluster.scratch();
    let root = scratch.join("root");
    fs::create_dir(&root)?;
    fs::write(root.join(FILE), vec![7; FILE_BYTES])?;
    let [first, last] = POOL_OF_BMCS;
    let known = KNOWN_MAC.map(|byte| format!("{byte:02x}")).join(":");
    let (root, per_minute) = (root.display(), scale.new_bmcs_per_minute());
    let text = format!(
        "interfaces: [boot, bmcs]\n\
         conflictProbe: false\n\
         boot: {{ uefi: {FILE} }}\n\
         tftp: {{ root: '{root}', listen: [0.0.0.0] }}\n\
         endpoints: {{ newPerMinute: {per_minute} }}\n\
         subnets:\n\
         - {{ subnet: 10.66.0.0/16, ranges: [10.66.100.0-10.66.199.255] }}\n\
         - subnet: 10.67.0.0/16\n  \
           bmc: true\n  \
           ranges: [{first}-{last}]\n  \
           reservations: [{{ mac: '{known}', ip: {KNOWN} }}]\n\
         dhcp6:\n  \
           interfaces: [boot, bmcs]\n  \
           subnets:\n  \
           - {{ subnet: 'fd66::/64', ranges: ['fd66::1000-fd66::1fff'] }}\n  \
           - {{ subnet: 'fd67::/64', bmc: true, ranges: ['fd67::1000-fd67::1fff'] }}\n"
    );
    let metrics = format!("{OPERATORS}:{METRICS_OF_NETBOOT}");
    stack.netboot_with(&text, &[("--metrics-bind-address", metrics)]).await
}
