//! Benchmarks. `hack/bench` builds what they need and runs them.
//!
//! Progress goes to standard error; the result is one line of JSON on standard output, with the
//! units in its keys.

mod discovery;
mod kills;
mod watch;
mod writes;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::Write as _;

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
}

#[tokio::main]
async fn main() -> Result<()> {
    let outcome = match Args::parse().bench {
        Bench::Discovery(args) => discovery::run(args).await?,
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
    outcome.verdict()
}
