//! `site serve-pxe`

use crate::{Outcome, connection::Connection, manifest::IMAGE};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

/// Flags of metalman.
#[derive(Debug, Args)]
pub(crate) struct ServePxe {
    /// Flags of `metalman serve-pxe`, which is looked for on the PATH
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAG")]
    flags: Vec<OsString>,
}

impl ServePxe {
    /// Becomes metalman.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn run(self, connection: &Connection) -> Result<Outcome> {
        if connection.context.is_some() {
            bail!(
                "metalman has no --context: give it --kubeconfig with a file of that context alone"
            );
        }
        let mut metalman = Command::new("metalman");
        metalman.arg("serve-pxe").args(self.flags);
        if let Some(kubeconfig) = &connection.kubeconfig {
            metalman.arg("--kubeconfig").arg(kubeconfig);
        }
        // It returns only if it fails.
        let error = metalman.exec();
        if error.kind() == io::ErrorKind::NotFound {
            bail!(
                "there is no metalman on the PATH: build it with cargo build --release -p metalman, or \
                 take it from its image: docker create --name metalman {IMAGE}, then docker cp \
                 metalman:/metalman ."
            );
        }
        Err(anyhow!(error).context("metalman"))
    }
}
