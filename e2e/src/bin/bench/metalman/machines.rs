//! The machines: from firmware that asks for an address to the token with which a machine joins.

use crate::{
    discovery::{float, percentile, round},
    tftp,
};
use anyhow::{Context, Result, ensure};
use e2e::cluster::eventually;
use futures::{StreamExt, stream};
use metal_attest::testing::Machine as Tpm;
use metal_runtime::client::install_crypto_provider;
use metal_simulator::{BootMode, Dhcp, DhcpClients, Mac, duration};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use uuid::Uuid;

/// The loader that DHCP names, and its bytes.
pub(super) const LOADER: &str = "shimx64.efi";
pub(super) const LOADER_BYTES: usize = 1 << 20;
/// How long a machine tries again what was not answered.
const PATIENCE: Duration = Duration::from_mins(5);

/// Which machines boot, and where from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// How many machines.
    #[arg(long)]
    pub(super) machines: u16,
    /// Address of the first one; the others follow.
    #[arg(long)]
    pub(super) first: Ipv4Addr,
    /// Where metalman answers by HTTP.
    #[arg(long)]
    pub(super) http: SocketAddr,
    /// Where it answers by TFTP.
    #[arg(long)]
    pub(super) tftp: SocketAddr,
    /// Network device on which they ask for their addresses; without one, they have them.
    #[arg(long)]
    pub(super) device: Option<String>,
    /// Time limit for all of them.
    #[arg(long, value_parser = duration::parse)]
    pub(super) limit: Duration,
}

/// What all machines have done.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(super) installed: usize,
    pub(super) leases: u64,
    pub(super) seconds: f64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) retries: u64,
    pub(super) p50_s: f64,
    pub(super) p99_s: f64,
}

impl Load {
    pub(super) fn per_second(&self, number: u64) -> f64 {
        round(float(number) / self.seconds)
    }
}

#[derive(Debug, Default)]
struct Done {
    leases: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
}

/// Who a machine is.
pub(super) fn address(first: Ipv4Addr, number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(first.to_bits() + u32::from(number))
}

pub(super) fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0x51, 0, 0, high, low])
}

/// Boots all of them at once.
pub(crate) async fn run(args: &Args) -> Result<Load> {
    install_crypto_provider();
    let clients = args.device.as_ref().map(|device| DhcpClients::open(&Dhcp::on(device)));
    let clients = clients.transpose().context("DHCP")?;
    let rack = Rack { args, clients, done: Done::default() };
    let begin = Instant::now();
    let boots = (0..args.machines).map(async |number| {
        rack.boot(number).await?;
        Ok::<_, anyhow::Error>(begin.elapsed())
    });
    let boots = stream::iter(boots).buffer_unordered(usize::from(args.machines));
    let ended: Vec<_> = timeout(args.limit, boots.collect()).await.context("--limit")?;
    let seconds = begin.elapsed().as_secs_f64();
    let mut times = vec![];
    for end in ended {
        match end {
            Ok(time) => times.push(time),
            Err(error) => eprintln!("a machine was not installed: {error:#}"),
        }
    }
    times.sort();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Load {
        installed: times.len(),
        leases: count(&rack.done.leases),
        seconds,
        files: count(&rack.done.files),
        bytes: count(&rack.done.bytes),
        retries: count(&rack.done.retries),
        p50_s: percentile(&times, 50),
        p99_s: percentile(&times, 99),
    })
}

/// The machines, what they ask for their addresses with, and what they have done together.
struct Rack<'a> {
    args: &'a Args,
    clients: Option<DhcpClients>,
    done: Done,
}

impl Rack<'_> {
    /// One machine.
    async fn boot(&self, number: u16) -> Result<()> {
        let from = address(self.args.first, number);
        if let Some(clients) = &self.clients {
            self.lease(clients, number).await?;
        }
        let client = Client::builder().local_address(IpAddr::V4(from)).no_proxy().build()?;
        let loader = async || tftp::read(from, self.args.tftp, LOADER).await;
        let loader = again(&self.done, loader).await?;
        ensure!(loader == LOADER_BYTES, "a loader of {loader} bytes");
        got(&self.done, loader);
        self.install(&client).await?;
        self.attest(&client, &Tpm::numbered(number)).await
    }

    /// What firmware asks for first.
    async fn lease(&self, clients: &DhcpClients, number: u16) -> Result<()> {
        let (mac, uuid) = (mac(number), Uuid::from_u128(u128::from(number) + 1));
        let from = address(self.args.first, number);
        let offered = again(&self.done, async || {
            let offered = clients.pxe(mac, uuid, BootMode::Uefi).await?;
            ensure!(offered.address == from, "{mac} got {} instead of {from}", offered.address);
            ensure!(offered.boot_file.as_deref() == Some(LOADER), "{:?}", offered.boot_file);
            Ok(())
        });
        offered.await?;
        self.done.leases.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What GRUB, the installer and cloud-init ask for.
    async fn install(&self, client: &Client) -> Result<()> {
        let root = format!("http://{}", self.args.http);
        let grub = again(&self.done, async || {
            let grub = client.get(format!("{root}/grub/grub.cfg")).send().await?;
            let grub = grub.error_for_status()?.text().await?;
            ensure!(grub.starts_with("install "), "{grub}");
            Ok(grub)
        });
        let grub = grub.await?;
        got(&self.done, grub.len());
        let url = grub.strip_prefix("install ").context("a URL")?;
        for path in ["disk.img.zst", "pxe/disable", "cloud-init/user-data"] {
            let url = format!("{url}/{path}");
            let size = again(&self.done, async || fetched(client, &url).await);
            got(&self.done, size.await?);
        }
        for (event, stage) in [("start", "init"), ("finish", "init"), ("finish", "modules-final")] {
            let event = json!({ "name": stage, "event_type": event, "result": "SUCCESS",
                "description": "", "origin": "cloudinit", "timestamp": 1.0 });
            let told = client.post(format!("{url}/cloudinit/log")).body(event.to_string());
            told.send().await?.error_for_status()?;
        }
        Ok(())
    }

    /// What metal-agent asks for.
    async fn attest(&self, client: &Client, tpm: &Tpm) -> Result<()> {
        let url = format!("http://{}/attest", self.args.http);
        let answer = again(&self.done, async || {
            let asked = client.post(&url).body(tpm.body());
            let answer = asked.timeout(PATIENCE).send().await?.error_for_status()?;
            answer.json::<metal_attest::Response>().await.map_err(Into::into)
        });
        answer.await.map(drop)
    }
}

/// Bytes of a file, of which nothing is kept.
async fn fetched(client: &Client, url: &str) -> Result<usize> {
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let mut size = 0;
    while let Some(piece) = answer.chunk().await? {
        size += piece.len();
    }
    Ok(size)
}

fn got(done: &Done, bytes: usize) {
    done.files.fetch_add(1, Ordering::Relaxed);
    done.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// Tries until it is answered, and counts how often it was not.
async fn again<T>(done: &Done, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut tries = 0_u64;
    let answered = eventually(PATIENCE, async || {
        tries += 1;
        attempt().await
    });
    let answered = answered.await;
    done.retries.fetch_add(tries.saturating_sub(1), Ordering::Relaxed);
    answered
}
