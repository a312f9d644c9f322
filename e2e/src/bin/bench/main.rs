//! Benchmarks. `hack/bench` builds what they need and runs them.
//!
//! Progress goes to standard error; the result is one line of JSON on standard output, with the
//! units in its keys.

mod discovery;
mod hosts;
mod kills;
mod metalman;
mod tftp;
mod watch;
mod writes;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde::Serialize;
use std::{io::Write as _, process::ExitCode};

/// Benchmarks of the whole stack, on loopback.
#[derive(Debug, Parser)]
#[command(name = "hack/bench")]
struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// From Endpoints to Available servers, all plugged in at once.
    Discovery(discovery::Args),
    /// From firmware to the token of each Machine, all of them at once.
    Metalman(metalman::Args),
    /// The machines of it, in a network of their own.
    #[command(hide = true)]
    MetalmanMachines(metalman::MachinesArgs),
    /// From the URL of each token to its script, and from firmware to the Host of each machine.
    Hosts(hosts::Args),
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    match Args::parse().bench {
        Bench::Discovery(args) => {
            let outcome = discovery::run(args).await?;
            tell(&outcome)?;
            outcome.verdict()?;
        }
        Bench::Metalman(args) => {
            if let Some(code) = metalman::enter()? {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            let outcome = metalman::run(args).await?;
            tell(&outcome)?;
            outcome.verdict()?;
        }
        Bench::MetalmanMachines(args) => tell(&metalman::boot_machines(&args).await?)?,
        Bench::Hosts(args) => {
            let outcome = hosts::run(args).await?;
            tell(&outcome)?;
            outcome.verdict()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(outcome: &impl Serialize) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(outcome)?)?)
}
