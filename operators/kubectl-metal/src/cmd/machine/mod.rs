//! `machine`

mod reboot;
mod register;
mod repave;

use crate::{Outcome, connection::Connection};
use anyhow::Result;
use clap::Subcommand;

/// What to do about machines.
#[derive(Debug, Subcommand)]
pub(crate) enum MachineCommand {
    /// Reboot machines: pods move away first, and the operating system is asked to shut down
    Reboot(reboot::Reboot),
    /// Install machines anew, and reboot them for that: their disks are overwritten
    Repave(repave::Repave),
    /// Create a Machine that boots from the network, and the Secret with the password of its BMC
    Register(Box<register::Register>),
}

/// Does it.
///
/// # Errors
///
/// If none of it can be done.
pub(crate) async fn run(command: MachineCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        MachineCommand::Reboot(reboot) => reboot.run(connection).await,
        MachineCommand::Repave(repave) => repave.run(connection).await,
        MachineCommand::Register(register) => Box::pin(register.run(connection)).await,
    }
}
