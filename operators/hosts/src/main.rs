//! `hosts`: installs rented servers, and tells each which release to run.

use hosts::args::{ACCEPTED, Args};
use metal_runtime::{
    args::{parse, warn},
    listener, shutdown, telemetry,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let parsed = parse::<Args>(ACCEPTED);
    telemetry::init(&parsed.args.runtime.log)?;
    warn(&parsed.ignored);
    listener::raise_file_limit();
    let shutdown = shutdown::on_signal()?;
    Box::pin(hosts::run(parsed.args, shutdown)).await
}
