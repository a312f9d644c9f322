//! `machine repave`

use crate::{
    Outcome,
    cmd::names,
    connection::Connection,
    operations::{Order, Waiting, carry_out},
    output::DryRunArgs,
};
use anyhow::Result;
use clap::Args;
use metal_machine::request::{Manual, Request};

/// Which machines to install anew.
#[derive(Debug, Args)]
pub(crate) struct Repave {
    /// Machines to install anew
    #[arg(required = true, value_parser = names::machine, value_name = "NAME")]
    names: Vec<String>,
    /// Confirm that somebody will power-cycle each machine that has no BMC and boot it from the
    /// network
    #[arg(long)]
    by_hand: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Whether to wait.
    #[command(flatten)]
    waiting: Waiting,
}

impl Repave {
    /// Installs them.
    ///
    /// # Errors
    ///
    /// If there is no client, or nowhere to print.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let by_hand = if self.by_hand { Manual::Somebody } else { Manual::Nobody };
        let DryRunArgs { dry_run } = self.dry_run;
        let order = Order { request: Request::Repave, by_hand, dry_run };
        carry_out(&self.names, order, &self.waiting, connection).await
    }
}
