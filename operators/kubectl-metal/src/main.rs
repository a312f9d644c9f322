//! The kubectl plugin, as `kubectl metal` and as `kubectl unbounded`.

use std::{env, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let args = kubectl_metal::args::parse(env::args_os()).unwrap_or_else(|error| error.exit());
    Box::pin(kubectl_metal::run(args)).await
}
