//! `releases`

mod create;
mod list;
mod new_release;
mod progress;
mod start;
mod starter;

use crate::{Outcome, connection::Connection};
use anyhow::Result;
use clap::Subcommand;

/// What to do about releases.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Make a release of an image with the configuration of one host, which alone can decrypt it
    Create(create::Create),
    /// Make a release, have the host run it, and wait until it does; or, for the name of a file, begin a
    /// configuration for an image
    #[command(visible_alias = "run")]
    Start(start::Start),
    /// List the releases of a host
    List(list::List),
}

/// Does it.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn run(command: ReleaseCommand, connection: &Connection) -> Result<Outcome> {
    match command {
        ReleaseCommand::Create(create) => create.run(connection).await,
        ReleaseCommand::Start(start) => start.run(connection).await,
        ReleaseCommand::List(list) => list.run(connection).await,
    }
}
