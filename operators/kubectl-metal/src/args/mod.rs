//! The command line.

use crate::{
    cmd::{
        hosts::HostCommand, ipxe_tokens::TokenCommand, machine::MachineCommand,
        releases::ReleaseCommand, site::SiteCommand,
    },
    connection::Connection,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::{ffi::OsString, path::Path};

/// Reboots, installs and registers the machines that metalman looks after, and starts metalman for their
/// sites; makes rented servers hosts, and has them run releases.
#[derive(Debug, Parser)]
#[command(name = "kubectl-metal", version, disable_help_subcommand = true)]
pub struct Args {
    /// Which API server.
    #[command(flatten)]
    pub connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reboot machines, install them anew, or register one
    #[command(subcommand)]
    Machine(MachineCommand),
    /// Prepare a cluster for the machines of a site, and serve them
    #[command(subcommand)]
    Site(SiteCommand),
    /// Make, list and withdraw the URLs that rented servers boot from
    #[command(subcommand)]
    IpxeTokens(TokenCommand),
    /// List, register and remove rented servers, and have them run a release
    #[command(subcommand)]
    Hosts(HostCommand),
    /// Make and list releases of rented servers
    #[command(subcommand)]
    Releases(ReleaseCommand),
    /// Print the version
    Version,
}

/// Parses a command line, the first word of which is the name of the program: help calls it as kubectl
/// does under that name.
///
/// # Errors
///
/// Those of clap, `--help` and `--version` among them.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let words: Vec<_> = words.into_iter().collect();
    let mut command = Args::command().bin_name(called(words.first()));
    let matches = command.try_get_matches_from_mut(words)?;
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// How a person calls a program with this path.
fn called(program: Option<&OsString>) -> String {
    let name = program.and_then(|path| Path::new(path).file_name()).and_then(|it| it.to_str());
    let plugin = name.and_then(|name| name.strip_prefix("kubectl-"));
    format!("kubectl {}", plugin.unwrap_or("metal").replace('_', "-"))
}

#[cfg(test)]
mod tests;
