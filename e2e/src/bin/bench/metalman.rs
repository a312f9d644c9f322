//! How fast metalman serves machines that all boot and are installed at once.

use crate::{
    discovery::{float, percentile, round},
    tftp,
};
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::IntoResponse,
};
use e2e::{
    cluster::{Cluster, eventually},
    stack::{
        Host, OciRegistry,
        metalman::{Metalman, condition, pxe},
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use metal_api::MachinePxe;
use metal_attest::testing::{Machine as Tpm, machines};
use metal_image::testing::archive;
use metal_simulator::duration;
use reqwest::Client;
use serde::Serialize;
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, time::timeout};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const GRUB: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}boot\
                    {{ else }}install {{ .ServeURL }}{{ end }}";
/// How many objects are made at a time.
const MAKING: usize = 32;
/// Bytes of a loader.
const LOADER: usize = 1 << 20;
/// How long a machine tries again what was not answered.
const PATIENCE: Duration = Duration::from_mins(5);
const MIB: f64 = 1_048_576.0;

/// Has all machines boot and be installed at once.
///
/// Each machine fetches its loader by TFTP, and by HTTP its configuration and its disk image; it says that
/// it is installed, reports the progress of cloud-init, fetches its user-data, and attests. It tries again what
/// is not answered, as firmware and installers do; `retries` counts that. Keys of TPMs are recorded ones.
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
        ensure!(*installed == usize::from(*machines), "{installed} of {machines} are installed");
        ensure!(*upstream_pulls == 1, "the image was fetched {upstream_pulls} times");
        Ok(())
    }
}

/// What all machines have done.
#[derive(Debug, Default)]
struct Done {
    files: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
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
    let tftp = Host::reserve(&[69])?.at(69)?.port();
    let flags = [format!("--tftp-port={tftp}")];
    let mut site = Metalman::start_binary(&cluster, &binary, &kubeconfig, &flags).await?;

    eprintln!("making {} Machines", args.machines);
    let names: Vec<_> = (0..args.machines).map(|number| format!("node-{number}")).collect();
    let reference = format!("{}/os:1", front.address);
    stream::iter(names.iter().enumerate().map(Ok::<_, anyhow::Error>))
        .try_for_each_concurrent(MAKING, async |(number, name)| {
            let pxe = MachinePxe { image: reference.clone(), ..pxe(name, address(number)?) };
            site.create(name, pxe).await?;
            let is_there = |it: &metal_api::MachineStatus| {
                condition(it, "ImageReady") == Some("Pulled") && it.operations.is_some()
            };
            site.is(name, "there", is_there).await?;
            site.raise(name, json!({ "repaveCounter": 1 })).await
        })
        .await?;

    eprintln!("booting all of them");
    let (done, tpms) = (Done::default(), machines());
    let at = Server { http: site.http, tftp: SocketAddr::new(site.http.ip(), tftp) };
    let begin = Instant::now();
    let boots = names.iter().enumerate().map(async |(number, _)| {
        let tpm = &tpms[number % tpms.len()];
        boot(&at, address(number)?, tpm, &done).await?;
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
    let count = |counter: &AtomicU64| float(counter.load(Ordering::Relaxed));
    Ok(Outcome {
        machines: args.machines,
        installed: times.len(),
        seconds: round(seconds),
        files_per_s: round(count(&done.files) / seconds),
        bytes_per_s: round(count(&done.bytes) / seconds),
        p50_s: percentile(&times, 50),
        p99_s: percentile(&times, 99),
        retries: done.retries.load(Ordering::Relaxed),
        rss_mib: round(float(site.process().peak_memory()?) / MIB),
        upstream_pulls: front.pulls.load(Ordering::Relaxed),
    })
}

fn image(disk: usize) -> Vec<u8> {
    archive(&[
        ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
        ("disk/shimx64.efi", &vec![7; LOADER]),
        ("disk/grub/grub.cfg.tmpl", GRUB.as_bytes()),
        ("disk/cloud-init/vendor-data.tmpl", b"#cloud-config\n# {{ .Machine.Name }}\n"),
        ("disk/disk.img.zst", &vec![9; disk]),
    ])
}

/// The address of a machine.
fn address(number: usize) -> Result<Ipv4Addr> {
    Ok(Ipv4Addr::from_bits(u32::from_be_bytes([127, 51, 1, 0]) + u32::try_from(number)?))
}

struct Server {
    http: SocketAddr,
    tftp: SocketAddr,
}

/// One machine, from its firmware to the token with which it joins.
async fn boot(at: &Server, from: Ipv4Addr, tpm: &Tpm, done: &Done) -> Result<()> {
    let client = Client::builder().local_address(IpAddr::V4(from)).no_proxy().build()?;
    let root = format!("http://{}", at.http);
    let loader = again(done, async || tftp::read(from, at.tftp, "shimx64.efi").await).await?;
    ensure!(loader == LOADER, "a loader of {loader} bytes");
    got(done, loader);
    let grub = again(done, async || {
        let grub = client.get(format!("{root}/grub/grub.cfg")).send().await?;
        let grub = grub.error_for_status()?.text().await?;
        ensure!(grub.starts_with("install "), "{grub}");
        Ok(grub)
    });
    let grub = grub.await?;
    got(done, grub.len());
    let url = grub.strip_prefix("install ").context("a URL")?;
    let get = async |path: &str| {
        let size = again(done, async || {
            let mut answer =
                client.get(format!("{url}/{path}")).send().await?.error_for_status()?;
            let mut size = 0;
            while let Some(piece) = answer.chunk().await? {
                size += piece.len();
            }
            Ok(size)
        });
        size.await.map(|size| got(done, size))
    };
    get("disk.img.zst").await?;
    get("pxe/disable").await?;
    get("cloud-init/user-data").await?;
    for (event, stage) in [("start", "init"), ("finish", "init"), ("finish", "modules-final")] {
        let event = json!({ "name": stage, "event_type": event, "result": "SUCCESS",
            "description": "", "origin": "cloudinit", "timestamp": 1.0 });
        let told = client.post(format!("{url}/cloudinit/log")).body(event.to_string());
        told.send().await?.error_for_status()?;
    }
    again(done, async || {
        let asked = client.post(format!("{root}/attest")).body(tpm.body());
        let answer = asked.timeout(PATIENCE).send().await?.error_for_status()?;
        answer.json::<metal_attest::Response>().await.map_err(Into::into)
    })
    .await
    .map(drop)
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

/// What stands before the registry, and counts how often layers are fetched.
struct Front {
    address: SocketAddr,
    pulls: Arc<AtomicU64>,
}

impl Front {
    async fn start(registry: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, pulls) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let state = (Client::builder().no_proxy().build()?, registry, Arc::clone(&pulls));
        let router = Router::new().fallback(forward).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, pulls })
    }
}

async fn forward(
    State((client, registry, pulls)): State<(Client, SocketAddr, Arc<AtomicU64>)>,
    request: Request,
) -> axum::response::Response {
    let path = request.uri().path();
    if path.contains("/blobs/") && request.method() == http::Method::GET {
        pulls.fetch_add(1, Ordering::Relaxed);
    }
    let asked = client.request(request.method().clone(), format!("http://{registry}{path}"));
    let mut headers = request.headers().clone();
    headers.remove(http::header::HOST);
    match asked.headers(headers).send().await {
        Ok(answer) => http::Response::<reqwest::Body>::from(answer).map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
