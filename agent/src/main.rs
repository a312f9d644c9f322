//! `metalprobe`: posts the inventory of the machine that it runs on until it is told to stop.
//!
//! The discovery image takes it as one static file:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo build --profile probe --target x86_64-unknown-linux-gnu -p metalprobe
//! ```
//!
//! It needs root, or `CAP_NET_RAW` and `CAP_NET_ADMIN` for neighbours and read access to the
//! SMBIOS tables; what it may not see is missing from the report and named there.

use anyhow::Context;
use clap::Parser;
use metalprobe::{
    agent::{Agent, Lldp, REPEAT},
    args::{Args, Encoder, two_dashes},
    backoff::Backoff,
    kernel::{Captured, Kernel, Running},
    probe::Machine,
    registry::Client,
    root::Root,
};
use std::{env, path::Path, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tracing::Level;

/// A collector that hangs in the kernel does not keep the process.
const LAST: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let args = Args::parse_from(two_dashes(env::args_os()));
    log(&args);
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run(args));
    runtime.shutdown_timeout(LAST);
    result
}

async fn run(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let registry = args.registry()?;
    tracing::info!(%registry, server = args.server_uuid, "metalprobe starts");
    let client = Client::new(registry, &args.registry_ca_file, args.registry_client_timeout)
        .context("registry cannot be used")?;
    let live = args.root == Path::new("/");
    let kernel: Box<dyn Kernel> = if live { Box::new(Running) } else { Box::new(Captured) };
    let agent = Agent {
        server_uuid: args.server_uuid,
        machine: Arc::new(Machine::new(Root::new(args.root), kernel)),
        client,
        backoff: Backoff::new(args.duration),
        repeat: REPEAT,
        lldp_interval: args.lldp_sync_interval,
        lldp_duration: args.lldp_sync_duration,
        lldp: if live { Lldp::Listen } else { Lldp::Ignore },
    };
    tokio::select! {
        () = agent.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("metalprobe stops");
    Ok(())
}

fn log(args: &Args) {
    let level = if args.zap_devel { Level::DEBUG } else { args.zap_log_level };
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    match args.zap_encoder {
        Encoder::Console => log.with_ansi(false).init(),
        Encoder::Json => log.json().init(),
    }
}
