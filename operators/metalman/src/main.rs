//! `metalman`: installs machines over the network, and lets them join the cluster.

use metal_runtime::{args::warn, listener, shutdown, telemetry};
use metalman::args;
use std::env;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let parsed = args::parse(env::args_os(), |name| env::var_os(name).is_some());
    let parsed = parsed.unwrap_or_else(|error| error.exit());
    telemetry::init(&parsed.args.log)?;
    warn(&parsed.ignored);
    listener::raise_file_limit();
    let shutdown = shutdown::on_signal()?;
    Box::pin(metalman::run(parsed.args, shutdown)).await
}
