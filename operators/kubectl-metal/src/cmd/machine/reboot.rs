//! `machine reboot`

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

/// Which machines to reboot.
#[derive(Debug, Args)]
pub(crate) struct Reboot {
    /// Machines to reboot
    #[arg(required = true, value_parser = names::machine, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    dry_run: DryRunArgs,
    /// Whether to wait.
    #[command(flatten)]
    waiting: Waiting,
}

impl Reboot {
    /// Reboots them.
    ///
    /// # Errors
    ///
    /// If there is no client, or nowhere to print.
    pub(crate) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let DryRunArgs { dry_run } = self.dry_run;
        let order = Order { request: Request::Reboot, by_hand: Manual::Nobody, dry_run };
        carry_out(&self.names, order, &self.waiting, connection).await
    }
}
