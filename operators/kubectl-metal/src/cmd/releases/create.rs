//! `releases create`

use super::new_release::{ImageRequirement, ReleaseArgs};
use crate::{
    Outcome,
    cmd::hosts,
    connection::Connection,
    output::{Format, print, shown, warn},
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
    /// Output format
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl Create {
    pub(super) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let made = self.what.make(connection, ImageRequirement::None).await?;
        let name = made.release.name_any();
        shown(&[made.release], self.output, "created")?;
        if self.activate {
            hosts::activate(made.client, &made.org, &made.host, &name).await?;
            // One document, or one line for each.
            match self.output {
                None => print(&format!("host.bloomery.dev/{} is to run {name}\n", made.host))?,
                Some(_) => warn(&format!("host.bloomery.dev/{} is to run {name}", made.host)),
            }
        }
        Ok(Outcome::Done)
    }
}
