//! `machine reboot`

use crate::{
    Outcome,
    connection::Connection,
    operations::{Waiting, carry_out},
};
use anyhow::Result;
use clap::Args;
use metal_machine::request::{ByHand, Request};

/// Which machines to reboot.
#[derive(Debug, Args)]
pub(crate) struct Reboot {
    /// Machines to reboot
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
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
        let (request, by_hand) = (Request::Reboot, ByHand::Nobody);
        carry_out(&self.names, request, by_hand, &self.waiting, connection).await
    }
}
