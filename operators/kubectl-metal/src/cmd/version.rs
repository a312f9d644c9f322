//! `version`

use crate::{Outcome, output::print};
use anyhow::Result;

/// Prints the version.
pub(crate) fn run() -> Result<Outcome> {
    print(concat!("kubectl-metal ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(Outcome::Done)
}
