//! `hosts ipxe`

use crate::{
    Outcome,
    cmd::{
        ipxe_tokens::{self, create::InstallArgs},
        lists::all,
        names,
    },
    connection::Connection,
    output::{DryRun, DryRunArgs, Format, print, shown},
};
use anyhow::Result;
use clap::Subcommand;
use kube::{Api, ResourceExt};
use metal_api::BootToken;
use metal_core::boot_token::script::entry;

/// What to do about the scripts that servers boot with.
#[derive(Debug, Subcommand)]
pub(crate) enum IpxeCommand {
    /// Print an iPXE script that makes a server this host, and nothing else: it is shown once
    Create {
        /// The host
        #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
        host: String,
        #[command(flatten)]
        install: Box<InstallArgs>,
        #[command(flatten)]
        dry_run: DryRunArgs,
    },
    /// List the scripts of an organization with which a server may still become a host
    List {
        /// Organization: a namespace
        #[arg(long, value_parser = names::label, value_name = "ORG")]
        org: String,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
    /// Withdraw the scripts of a host: whoever boots with one is refused
    Delete {
        /// The host
        #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
        host: String,
        #[command(flatten)]
        dry_run: DryRunArgs,
        /// Output format
        #[arg(long, short, value_enum, value_name = "FORMAT")]
        output: Option<Format>,
    },
}

/// Does it.
///
/// # Errors
///
/// Those of the API server.
pub(super) async fn run(command: IpxeCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        IpxeCommand::Create { host, install, dry_run: DryRunArgs { dry_run } } => {
            let url = install.make(connection, names::host(&host)?, dry_run).await?;
            if let Some(url) = url {
                print(&entry(&url)?)?;
            }
            Ok(Outcome::Done)
        }
        IpxeCommand::List { org, output } => ipxe_tokens::list(connection, &org, output).await,
        IpxeCommand::Delete { host, dry_run: DryRunArgs { dry_run }, output } => {
            let (org, name) = names::host(&host)?;
            let api = Api::<BootToken>::namespaced(connection.client().await?, org);
            let found = ipxe_tokens::of_host(all(&api).await?, org, name)?;
            let (mut deleted, mut outcome) = (vec![], Outcome::Done);
            for token in found {
                let name = token.name_any();
                let gone = match dry_run {
                    DryRun::Client => Ok(()),
                    DryRun::None | DryRun::Server => {
                        api.delete(&name, &dry_run.delete()).await.map(drop)
                    }
                };
                match gone {
                    Ok(()) => deleted.push(token),
                    Err(error) => outcome = ipxe_tokens::left(error, org, &name, outcome),
                }
            }
            shown(&deleted, output, &format!("deleted{}", dry_run.note()))?;
            Ok(outcome)
        }
    }
}
