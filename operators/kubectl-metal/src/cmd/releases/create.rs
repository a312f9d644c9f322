//! `releases create`

use super::new_release::{ImageRequirement, ReleaseArgs};
use crate::{
    Outcome,
    cmd::hosts,
    connection::Connection,
    output::{DryRunArgs, Format, print, shown, warn},
};
use anyhow::Result;
use clap::Args;
use kube::ResourceExt;

/// Which release.
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    what: ReleaseArgs,
    /// Have the host run it
    #[arg(long)]
    activate: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Output format
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Create {
    pub(super) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let DryRunArgs { dry_run } = self.dry_run;
        let made = self.what.make(connection, ImageRequirement::None, dry_run).await?;
        let name = made.release.name_any();
        shown(&[made.release], self.output, &format!("created{}", dry_run.note()))?;
        if self.activate {
            hosts::activate(made.client, (&made.org, &made.host), &name, dry_run).await?;
            // One document, or one line for each.
            let done =
                format!("host.bloomery.dev/{} is to run {name}{}", made.host, dry_run.note());
            match self.output {
                None => print(&format!("{done}\n"))?,
                Some(_) => warn(&done),
            }
        }
        Ok(Outcome::Done)
    }
}
