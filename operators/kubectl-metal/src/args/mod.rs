//! The command line.

use crate::cmd::{
    hosts::HostCommand, ipxe_tokens::TokenCommand, machine::MachineCommand,
    releases::ReleaseCommand, site::SiteCommand,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use metal_runtime::args::ClientArgs;
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

/// Which API server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Connection {
    /// File with address and credentials of the API server [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
}

impl Connection {
    /// A client for it. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If there is no kubeconfig, or it is not usable.
    pub(crate) async fn client(&self) -> Result<kube::Client, metal_runtime::client::Error> {
        let user_agent = concat!("kubectl-metal/", env!("CARGO_PKG_VERSION"));
        let args = ClientArgs { kubeconfig: self.kubeconfig.clone() };
        metal_runtime::client::connect_in(&args, self.context.as_deref(), user_agent).await
    }
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
