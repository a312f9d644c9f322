//! `simulator`: a fleet of simulated machines as a process.
//!
//! Prints one line of JSON with its addresses, then runs until SIGINT or SIGTERM.
//!
//! BMC addresses other than 127/8, and all addresses that DHCP assigns to BMCs, must be local to
//! this machine. One route does that for a whole range: `ip route add local 10.42.0.0/16 dev lo`.

use anyhow::Context as _;
use clap::Parser;
use metal_simulator::{
    Account, Boot, BootMode, BootTarget, Config, Dhcp, Dialect, Expand, Graceful, Limits,
    MacPrefix, Power, Profile, ResetAnswer, Simulator, Timing, Transport, Vm, duration,
};
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use strum::VariantArray;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// A fleet of simulated machines: Redfish BMCs, and hosts that boot.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many machines.
    #[arg(long, default_value_t = 1)]
    machines: u32,
    /// How many consecutive machines are systems of one BMC, that of the first of them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    systems: u32,
    /// Equal seeds are equal fleets.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where all BMCs answer; the local address of a connection tells them apart.
    #[arg(long, default_value = "0.0.0.0:8000")]
    listen: SocketAddr,
    /// Device that the Redfish socket is bound to; "lo" where BMC addresses are in 127/8.
    #[arg(long)]
    device: Option<String>,
    /// Address of the BMC of machine 0; machine i has this plus i.
    #[arg(long, default_value = "127.1.0.1")]
    bmc_base: Ipv4Addr,
    /// Where the control API answers.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// First one to three bytes of BMC MACs.
    #[arg(long, default_value = "23:11:8a")]
    bmc_mac_prefix: MacPrefix,
    /// User name of every BMC.
    #[arg(long, default_value = "foo")]
    username: String,
    /// Password of every BMC.
    #[arg(long, default_value = "bar", env = "SIMULATOR_PASSWORD", hide_env_values = true)]
    password: String,
    /// Added to every Redfish answer.
    #[arg(long, default_value = "0ms", value_parser = duration::parse)]
    latency: Duration,
    /// Power state that every machine starts in: On or Off.
    #[arg(long, default_value = "Off")]
    power: Power,
    /// Root of the boot service; without it a network boot fails.
    #[arg(long)]
    boot_url: Option<Url>,
    /// Machines ask DHCP on this device what to boot.
    #[arg(long, value_name = "DEVICE")]
    dhcp: Option<String>,
    /// BMCs ask for their address by DHCP on this device, instead of --bmc-base.
    #[arg(long, value_name = "DEVICE")]
    bmc_dhcp: Option<String>,
    /// Address of the first NIC of machine 0 where no DHCP gives one; machine i has this plus i.
    #[arg(long, default_value = "198.18.0.1")]
    host_base: Ipv4Addr,
    #[command(flatten)]
    real: VmArgs,
    #[command(flatten)]
    firmware: Firmware,
    #[command(flatten)]
    times: Times,
}

/// Machines that are virtual ones.
#[derive(Debug, clap::Args)]
struct VmArgs {
    /// Machine N is a virtual machine, with the tap device TAP as its network; once for each. What
    /// it needs, `hack/prepare vm` installs.
    #[arg(long, value_name = "N=TAP", value_parser = vm, requires = "vm_folder")]
    vm: Vec<(u32, String)>,
    /// Where virtual machines keep their files: consoles are in N/console.log.
    #[arg(long, value_name = "DIR")]
    vm_folder: Option<PathBuf>,
    /// Memory of each in MiB.
    #[arg(long, default_value_t = 256)]
    vm_memory: u32,
}

/// What the BMC firmware offers.
#[derive(Debug, clap::Args)]
struct Firmware {
    /// http or https; GET /ca of the control API tells whom to trust.
    #[arg(long, default_value = "http")]
    protocol: Transport,
    /// Boot targets on offer.
    #[arg(long, value_delimiter = ',', default_value = "None,Pxe,Hdd,Cd,UefiHttp")]
    boot_targets: Vec<BootTarget>,
    /// Boot modes on offer; "" for a BMC without the property.
    #[arg(long, default_value = "UEFI,Legacy")]
    boot_modes: String,
    /// Hosts do not listen to a graceful shutdown.
    #[arg(long)]
    ignore_graceful_shutdown: bool,
    /// Resets are answered with 202 and a task.
    #[arg(long)]
    reset_tasks: bool,
    /// $expand is offered.
    #[arg(long)]
    expand: bool,
    /// What the firmware does differently: any of these, together.
    #[arg(long, value_delimiter = ',', value_parser = dialect)]
    dialect: Vec<Dialect>,
    /// Sessions of one BMC at a time.
    #[arg(long, default_value_t = 16)]
    sessions: usize,
    /// A session that is not used ends after this long.
    #[arg(long, default_value = "30m", value_parser = duration::parse)]
    session_timeout: Duration,
    /// Wrong passwords until the account is locked; 0: never.
    #[arg(long, default_value_t = 5)]
    lockout_threshold: u32,
    /// How long it stays locked.
    #[arg(long, default_value = "5m", value_parser = duration::parse)]
    lockout_duration: Duration,
}

/// How long things take.
#[derive(Debug, clap::Args)]
struct Times {
    /// From a reset to On.
    #[arg(long = "power-on-time", default_value = "300ms", value_parser = duration::parse)]
    power_on: Duration,
    /// From a graceful shutdown to Off.
    #[arg(long = "shutdown-time", default_value = "1s", value_parser = duration::parse)]
    shutdown: Duration,
    /// From On to the first packet of a network boot.
    #[arg(long = "boot-time", default_value = "2s", value_parser = duration::parse)]
    boot: Duration,
    /// How often firmware tries a network boot.
    #[arg(long, default_value_t = 3)]
    boot_tries: u32,
    /// Pause between two tries.
    #[arg(long = "boot-retry-time", default_value = "2s", value_parser = duration::parse)]
    boot_retry: Duration,
    /// How often the discovery agent posts its report.
    #[arg(long = "agent-interval", default_value = "30s", value_parser = duration::parse)]
    agent_interval: Duration,
    /// How long a BMC is away after Manager.Reset.
    #[arg(long = "bmc-reset-time", default_value = "5s", value_parser = duration::parse)]
    bmc_reset: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let config = config(Args::parse())?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let machines = config.machines;
    let simulator = Simulator::start(config).await?;
    let line = serde_json::json!({
        "redfish": simulator.redfish(),
        "control": simulator.control(),
        "machines": machines,
    });
    writeln!(std::io::stdout(), "{line}").context("stdout")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.context("SIGINT")?,
    }
    simulator.stop().await;
    Ok(())
}

fn config(args: Args) -> anyhow::Result<Config> {
    let is_loopback = args.bmc_dhcp.is_none() && args.bmc_base.is_loopback();
    Ok(Config {
        machines: args.machines,
        systems: args.systems,
        seed: args.seed,
        listen: args.listen,
        device: args.device.or_else(|| is_loopback.then(|| "lo".to_owned())),
        bmc_base: args.bmc_base,
        control: args.control,
        bmc_mac_prefix: args.bmc_mac_prefix,
        account: Account { username: args.username, password: args.password },
        latency: args.latency,
        power: args.power,
        limits: limits(&args.firmware),
        profile: profile(args.firmware)?,
        timing: timing(&args.times),
        boot: Boot { url: args.boot_url, dhcp: args.dhcp.map(Dhcp::on), host_base: args.host_base },
        bmc_dhcp: args.bmc_dhcp.map(Dhcp::on),
        vms: vms(args.real),
    })
}

fn dialect(text: &str) -> Result<Dialect, String> {
    text.parse().map_err(|_| {
        let all: Vec<_> = Dialect::VARIANTS.iter().map(ToString::to_string).collect();
        format!("one of {}", all.join(", "))
    })
}

/// N=TAP
fn vm(text: &str) -> Result<(u32, String), String> {
    let (number, tap) = text.split_once('=').ok_or("write N=TAP")?;
    let number = number.parse().map_err(|_| format!("{number} is not the number of a machine"))?;
    if tap.is_empty() || tap.contains(',') {
        return Err(format!("{tap:?} is not the name of a tap device"));
    }
    Ok((number, tap.to_owned()))
}

fn vms(real: VmArgs) -> BTreeMap<u32, Vm> {
    let Some(folder) = real.vm_folder else { return BTreeMap::new() };
    let vm = |(number, tap): (u32, String)| {
        let vm = Vm::new(folder.join(number.to_string()), tap);
        (number, Vm { memory: real.vm_memory, ..vm })
    };
    real.vm.into_iter().map(vm).collect()
}

fn limits(firmware: &Firmware) -> Limits {
    Limits {
        sessions: firmware.sessions,
        session_timeout: firmware.session_timeout,
        lockout_threshold: firmware.lockout_threshold,
        lockout_duration: firmware.lockout_duration,
    }
}

fn profile(firmware: Firmware) -> anyhow::Result<Profile> {
    let modes = firmware.boot_modes.split(',').filter(|mode| !mode.is_empty());
    let modes: Result<Vec<BootMode>, _> = modes.map(str::parse).collect();
    Ok(Profile {
        transport: firmware.protocol,
        boot_targets: firmware.boot_targets,
        boot_modes: modes.context("--boot-modes knows UEFI and Legacy")?,
        graceful: if firmware.ignore_graceful_shutdown {
            Graceful::Ignored
        } else {
            Graceful::Honored
        },
        reset_answer: if firmware.reset_tasks { ResetAnswer::Task } else { ResetAnswer::Empty },
        expand: if firmware.expand { Expand::Offered } else { Expand::Refused },
        dialects: firmware.dialect,
    })
}

fn timing(times: &Times) -> Timing {
    Timing {
        power_on: times.power_on,
        shutdown: times.shutdown,
        post: times.boot,
        bmc_reset: times.bmc_reset,
        boot_tries: times.boot_tries,
        boot_retry: times.boot_retry,
        agent_interval: times.agent_interval,
        ..Timing::default()
    }
}
