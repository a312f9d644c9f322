//! What a person asks of machines and sites: reboots and installations, which they wait for, Machines to
//! be registered, the metalman of a site; and of rented servers: tokens, hosts and releases.
//!
//! [`metal_machine::request`] decides what is asked for, and when it is done; this crate reads and
//! writes the objects for it, and prints. Results go to standard output, everything else to standard
//! error.

mod apply;
pub mod args;
mod cmd;
mod configuration;
mod connection;
mod failure;
mod image;
mod manifest;
mod merge;
mod operations;
mod output;
#[cfg(test)]
mod reference_page;
mod seal;

use args::{Args, Command};
use output::warn;
use std::process::ExitCode;

/// Who writes, in `metadata.managedFields`: what the plugin of Azure/unbounded calls itself.
const MANAGER: &str = "kubectl-unbounded";
/// Somebody has pressed Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Nobody reads what is printed: what a shell says of a program that SIGPIPE has ended, as it ends kubectl.
const CLOSED: u8 = 141;

/// The outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that was asked for.
    Done,
    /// Something has failed, and it was said what.
    Failed,
}

/// Runs a command until it is done, or somebody presses Ctrl-C.
pub async fn run(args: Args) -> ExitCode {
    let work = async {
        match args.command {
            Command::Machine(command) => cmd::machine::run(command, &args.connection).await,
            Command::Site(command) => cmd::site::run(command, &args.connection).await,
            Command::IpxeTokens(command) => cmd::ipxe_tokens::run(command, &args.connection).await,
            Command::Hosts(command) => cmd::hosts::run(command, &args.connection).await,
            Command::Releases(command) => cmd::releases::run(command, &args.connection).await,
            Command::Version => cmd::version::run(),
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        Ok(()) = tokio::signal::ctrl_c() => {
            warn("interrupted: nothing more is done or waited for; what was asked for stays so");
            return INTERRUPTED.into();
        }
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) if output::is_closed(&error) => CLOSED.into(),
        Err(error) => {
            warn(&format!("error: {}", failure::chain(&error)));
            ExitCode::FAILURE
        }
    }
}
