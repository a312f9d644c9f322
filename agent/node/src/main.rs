//! `metal-agent`: makes the machine that it runs on a node, and keeps it one.
//!
//! A disk image takes it as one static file, with the unit beside this package's sources:
//!
//! ```text
//! RUSTFLAGS="-C target-feature=+crt-static" \
//!     cargo build --profile probe --target x86_64-unknown-linux-gnu -p metal-agent
//! ```
//!
//! It ends with 0 when it is told to, or with `--once` when there is a certificate; with 2 when its flags or
//! its configuration cannot be used; with 1 when it cannot run at all.

use anyhow::Context;
use clap::Parser;
use metal_agent::{
    agent::Agent,
    args::{Args, Command},
};
use metal_base::Chain;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// How long a TPM may take to forget our keys when the agent ends.
const LAST: Duration = Duration::from_secs(5);
/// The code for flags has clap, and this is the same.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Command::Version) = args.command {
        let line = writeln!(io::stdout(), "metal-agent {}", env!("CARGO_PKG_VERSION"));
        return if line.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // systemd adds the time.
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).without_time().init();
    let agent = match Agent::new(args) {
        Ok(agent) => agent,
        Err(error) => {
            tracing::error!("{}", Chain(&error));
            return UNUSABLE.into();
        }
    };
    match start(agent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(agent: Agent) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let result = runtime.block_on(run(agent));
    runtime.shutdown_timeout(LAST);
    result
}

async fn run(agent: Agent) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = agent.run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("metal-agent stopped");
    Ok(())
}
