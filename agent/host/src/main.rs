//! `metal-host`: makes the rented server that it runs on a Host, and has it run its release.

use clap::Parser;
use metal_host::{
    agent::Agent,
    args::{Args, Command},
};
use std::{io, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    // systemd adds the time.
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).without_time().init();
    match run(args).await {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(Command::Bootc(bootc)) = &args.command {
        return bootc.run().await;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let agent = Agent::new(args).await?;
    tokio::select! {
        ended = agent.run() => ended?,
        _ = terminate.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}
