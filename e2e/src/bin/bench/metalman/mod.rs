//! How fast metalman serves machines that all boot and are installed at once.

mod front;
mod machines;
mod network;

pub(crate) use machines::{Args as MachinesArgs, run as boot_machines};
pub(crate) use network::enter;

use crate::discovery::{float, round};
use anyhow::{Result, ensure};
use e2e::{
    cluster::Cluster,
    stack::{
        OciRegistry, ReservedAddress,
        metalman::{Metalman, Program, condition},
    },
};
use front::Front;
use futures::{TryStreamExt, stream};
use machines::{LOADER, LOADER_BYTES, Load, address, mac};
use metal_api::{MachineLease, MachinePxe, MachineStatus};
use metal_image::testing::archive;
use metal_simulator::duration;
use serde::Serialize;
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GRUB: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}boot\
                    {{ else }}install {{ .ServeURL }}{{ end }}";
/// How many objects are made at a time.
const MAKING: usize = 32;
/// The first address where there is no network of its own.
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 51, 1, 1);
/// What templates name, and nobody asks.
const API: &str = "--apiserver-url=https://api.example:6443";
const MIB: f64 = 1_048_576.0;

/// Has all machines boot and be installed at once.
///
/// Each machine asks for its address by DHCP, where this machine allows a network namespace; fetches its loader by TFTP, and by HTTP its configuration and its disk image; it says that
/// it is installed, reports the progress of cloud-init, fetches its user-data, and attests. It tries again what
/// is not answered, as firmware and installers do; `retries` counts that. Each has a TPM of its own.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many machines.
    #[arg(long, default_value_t = 200)]
    machines: u16,
    /// MiB of the disk image.
    #[arg(long, default_value_t = 8)]
    mib: u16,
    /// Time limit for the whole run.
    #[arg(long, default_value = "10m", value_parser = duration::parse)]
    limit: Duration,
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    machines: u16,
    installed: usize,
    /// Addresses that were given by DHCP.
    leases: u64,
    seconds: f64,
    files_per_s: f64,
    bytes_per_s: f64,
    p50_s: f64,
    p99_s: f64,
    retries: u64,
    rss_mib: f64,
    /// How often the layer of the image was fetched from the registry.
    upstream_pulls: u64,
}

impl Outcome {
    /// # Errors
    ///
    /// If not every machine was installed, or the image was fetched more than once.
    pub(super) fn verdict(&self) -> Result<()> {
        let Self { installed, machines, upstream_pulls, .. } = self;
        let asked = if network::is_own() { u64::from(*machines) } else { 0 };
        ensure!(self.leases == asked, "{} addresses were given instead of {asked}", self.leases);
        ensure!(*installed == usize::from(*machines), "{installed} of {machines} are installed");
        ensure!(*upstream_pulls == 1, "the image was fetched {upstream_pulls} times");
        Ok(())
    }
}

/// Runs it.
pub(super) async fn run(args: Args) -> Result<Outcome> {
    ensure!(args.machines > 0, "--machines must be more than 0");
    eprintln!("starting control plane, registry and metalman");
    let binary = std::env::current_exe()?.with_file_name("metalman");
    let cluster = Cluster::start().await?;
    let kubeconfig = Metalman::kubeconfig(&cluster).await?;
    let registry = OciRegistry::start(&cluster.scratch()).await?;
    registry.push("os:1", &[(LAYER, &image(usize::from(args.mib) << 20))]).await?;
    let front = Front::start(registry.address()).await?;
    if !network::is_own() {
        let tftp = ReservedAddress::reserve(&[69])?.at(69)?.port();
        let flags = &[format!("--tftp-port={tftp}"), API.to_owned()];
        let program = Program { binary: &binary, kubeconfig: &kubeconfig, flags };
        let mut site = Metalman::start_program(&cluster, program).await?;
        let boots = booting(&args, &site, LOOPBACK, tftp);
        make(&site, &front, &boots).await?;
        let load = machines::run(&boots).await?;
        return outcome(&args, &load, &mut site, &front);
    }
    let network = network::of_machines(&cluster).await?;
    let mut site = on_link(&cluster, &binary, &kubeconfig).await?;
    let boots = booting(&args, &site, network::FIRST, 69);
    make(&site, &front, &boots).await?;
    let load = network::boot(&network, &boots).await?;
    outcome(&args, &load, &mut site, &front)
}

/// metalman on the link to the machines.
async fn on_link(cluster: &Cluster, binary: &Path, kubeconfig: &Path) -> Result<Metalman> {
    let interface = format!("--dhcp-interface={}", network::DEVICE);
    let flags = &[interface, "--tftp-port=69".to_owned(), API.to_owned()];
    let program = Program { binary, kubeconfig, flags };
    Metalman::start_at(cluster, IpAddr::V4(network::OWN), program).await
}

fn booting(args: &Args, site: &Metalman, first: Ipv4Addr, tftp: u16) -> MachinesArgs {
    let tftp = SocketAddr::new(site.http.ip(), tftp);
    let (machines, http, limit) = (args.machines, site.http, args.limit);
    MachinesArgs { machines, first, http, tftp, device: None, limit }
}

/// Makes the Machines, each with an installation that is due.
async fn make(site: &Metalman, front: &Front, boots: &MachinesArgs) -> Result<()> {
    eprintln!("making {} Machines", boots.machines);
    let reference = format!("{}/os:1", front.address);
    stream::iter((0..boots.machines).map(Ok::<_, anyhow::Error>))
        .try_for_each_concurrent(MAKING, async |number| {
            let (name, lease) = (format!("node-{number}"), lease(boots.first, number));
            let (image, dhcp_leases) = (reference.clone(), vec![lease]);
            site.create(&name, MachinePxe { image, dhcp_leases, ..MachinePxe::default() }).await?;
            let is_there = |it: &MachineStatus| {
                condition(it, "ImageReady") == Some("Pulled") && it.operations.is_some()
            };
            site.is(&name, "there", is_there).await?;
            site.raise(&name, json!({ "repaveCounter": 1 })).await
        })
        .await?;
    eprintln!("booting all of them");
    Ok(())
}

fn lease(first: Ipv4Addr, number: u16) -> MachineLease {
    MachineLease {
        ipv4: address(first, number).to_string(),
        mac: mac(number).to_string(),
        subnet_mask: "255.255.0.0".to_owned(),
        ..MachineLease::default()
    }
}

fn outcome(args: &Args, load: &Load, site: &mut Metalman, front: &Front) -> Result<Outcome> {
    Ok(Outcome {
        machines: args.machines,
        installed: load.installed,
        leases: load.leases,
        seconds: round(load.seconds),
        files_per_s: load.per_second(load.files),
        bytes_per_s: load.per_second(load.bytes),
        p50_s: load.p50_s,
        p99_s: load.p99_s,
        retries: load.retries,
        rss_mib: round(float(site.process().peak_memory()?) / MIB),
        upstream_pulls: front.pulls(),
    })
}

fn image(disk: usize) -> Vec<u8> {
    archive(&[
        ("disk/metadata.yaml", format!("dhcpBootImageName: {LOADER}\n").as_bytes()),
        (&format!("disk/{LOADER}"), &vec![7; LOADER_BYTES]),
        ("disk/grub/grub.cfg.tmpl", GRUB.as_bytes()),
        ("disk/cloud-init/vendor-data.tmpl", b"#cloud-config\n# {{ .Machine.Name }}\n"),
        ("disk/disk.img.zst", &vec![9; disk]),
    ])
}
