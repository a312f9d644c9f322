//! The metal-operator.

use metal_operator::args::{ACCEPTED, Args};
use metal_runtime::{
    args::{parse, warn},
    listener, process, shutdown, telemetry,
};

fn main() -> anyhow::Result<()> {
    process::run(start())?
}

async fn start() -> anyhow::Result<()> {
    let parsed = parse::<Args>(ACCEPTED);
    telemetry::init(&parsed.args.runtime.log)?;
    warn(&parsed.ignored);
    listener::raise_file_limit();
    let shutdown = shutdown::on_signal()?;
    Box::pin(metal_operator::run(parsed.args, shutdown)).await
}
