//! `netboot`: the DHCP and TFTP servers.

use metal_runtime::{
    args::{parse, warn},
    listener, shutdown, telemetry,
};
use netboot::{args::Args, subcommands::Tool};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(tool) = Tool::of_args(std::env::args_os()) {
        return tool.run();
    }
    let parsed = parse::<Args>(&[]);
    telemetry::init(&parsed.args.log)?;
    warn(&parsed.ignored);
    listener::raise_file_limit();
    let shutdown = shutdown::on_signal()?;
    netboot::run(parsed.args, shutdown).await
}
