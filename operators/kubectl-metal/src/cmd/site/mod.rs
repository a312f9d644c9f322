//! `site`

mod deploy_pxe;
mod init;
mod serve_pxe;

use crate::{
    Outcome,
    connection::Connection,
    output::{DryRunArgs, Format},
};
use anyhow::Result;
use clap::{Args, Subcommand};

/// Characters of the name of a site, which is a label, and part of the names of a Deployment and a Lease.
const NAME: usize = 63;

/// What to do about sites.
#[derive(Debug, Subcommand)]
pub(crate) enum SiteCommand {
    /// Install what all sites share: the Machine resource, namespaces and rights
    Init(init::Init),
    /// Install metalman for the machines of a site
    DeployPxe(deploy_pxe::DeployPxe),
    /// Run metalman here, for a site or for machines without one
    #[command(disable_help_flag = true)]
    ServePxe(serve_pxe::ServePxe),
}

/// How objects are applied and printed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Applying {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
    /// Output format [default: a line for each]
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Format>,
}

/// Does it.
///
/// # Errors
///
/// If it cannot be done.
pub(crate) async fn run(command: SiteCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        SiteCommand::Init(init) => init.run(connection).await,
        SiteCommand::DeployPxe(deploy) => deploy.run(connection).await,
        SiteCommand::ServePxe(serve) => serve.run(connection),
    }
}

/// Parses the name of a site.
///
/// # Errors
///
/// If it is not one.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_name = !text.is_empty()
        && text.len() <= NAME
        && text.chars().all(|c| is_plain(c) || c == '-')
        && text.starts_with(is_plain)
        && text.ends_with(is_plain);
    let wrong = || format!("write up to {NAME} lower-case letters, digits and hyphens, as rack-a");
    if is_name { Ok(text.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_a_name_that_a_lease_can_have() {
        for good in ["rack-a", "a", "1", &"a".repeat(63)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", "-a", "a-", "Rack", "a.b", "a b", "a/b", "ä", &"a".repeat(64)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
