//! The boot-operator.

use boot_operator::args::{ACCEPTED, Args};
use metal_runtime::{
    args::{parse, warn},
    shutdown, telemetry,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let parsed = parse::<Args>(ACCEPTED);
    telemetry::init(&parsed.args.runtime.log)?;
    warn(&parsed.ignored);
    let shutdown = shutdown::on_signal()?;
    Box::pin(boot_operator::run(parsed.args, shutdown)).await
}
