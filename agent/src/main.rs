//! `metalprobe`: posts the inventory of the machine that it runs on until it is told to stop.
//!
//! The discovery image takes it as one static file:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo build --profile probe --target x86_64-unknown-linux-gnu -p metalprobe
//! ```
//!
//! It needs root, or `CAP_NET_RAW` and `CAP_NET_ADMIN` for neighbors and read access to the
//! SMBIOS tables; what it may not see is missing from the report and named there. Called `init`, it
//! is the first process of that image.

use clap::Parser;
use metalprobe::{
    agent::Agent,
    args::{Args, Encoder, two_dashes},
    init,
};
use std::{env, process::ExitCode, time::Duration};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};
use tracing::Level;

/// Collectors that hang in the kernel do not keep the process alive longer than this.
const LAST: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    if init::is_wanted(env::args_os()) {
        return init::run();
    }
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
    let agent = Agent::new(args)?;
    tracing::info!(registry = %agent.client, server = agent.server_uuid, "metalprobe started");
    tokio::select! {
        never = agent.run() => match never {},
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("metalprobe stopped");
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
