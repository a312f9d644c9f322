//! The BMC of a machine that is registered.

use super::password::{KEY, Password};
use crate::{
    cmd::names,
    output::{DryRun, warn},
};
use anyhow::{Result, anyhow};
use clap::{Args, builder::NonEmptyStringValueParser};
use metal_api::{MachineKeyReference, MachineRedfish};
use metal_core::machine_identity::{bmc_address, system_uri};
use std::path::PathBuf;

/// A BMC.
#[derive(Debug, Args)]
#[group(id = "bmc")]
pub(crate) struct BmcArgs {
    /// Its BMC, as https://ADDRESS; without one somebody switches the machine by hand
    #[arg(long, value_name = "URL", requires = "redfish_username")]
    redfish_url: Option<String>,
    /// User name at the BMC
    #[arg(long, value_name = "NAME", requires = "redfish_url")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    redfish_username: Option<String>,
    /// Which system of the BMC [default: 1]
    #[arg(long, value_name = "ID", requires = "redfish_url")]
    redfish_device_id: Option<String>,
    /// File with the password of this user
    #[arg(long, value_name = "FILE", requires = "redfish_url")]
    redfish_password_file: Option<PathBuf>,
    /// Read the password from standard input
    #[arg(long, requires = "redfish_url", conflicts_with = "redfish_password_file")]
    redfish_password_stdin: bool,
    /// Namespace of the Secret with the password, which metalman reads
    #[arg(long, short, default_value = "metalman-bmcs", value_parser = names::label)]
    #[arg(value_name = "NAMESPACE")]
    namespace: String,
}

impl BmcArgs {
    /// The namespace of the Secret.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether a password is given.
    pub(crate) fn has_password(&self) -> bool {
        self.redfish_password_file.is_some() || self.redfish_password_stdin
    }

    /// What the Machine says of its BMC; the password is in the Secret of this name.
    ///
    /// # Errors
    ///
    /// If metalman could not use it.
    pub(crate) fn redfish(&self, name: &str) -> Result<Option<MachineRedfish>> {
        let (Some(url), Some(username)) = (&self.redfish_url, &self.redfish_username) else {
            return Ok(None);
        };
        let password_ref = MachineKeyReference {
            name: name.to_owned(),
            namespace: self.namespace.clone(),
            key: Some(KEY.to_owned()),
        };
        let redfish = MachineRedfish {
            url: url.clone(),
            username: username.clone(),
            device_id: self.redfish_device_id.clone(),
            password_ref,
        };
        // Whether plain HTTP is allowed is a flag of metalman, which we do not know.
        bmc_address(&redfish, true)
            .map_err(|missing| anyhow!("--redfish-url: {}", missing.message))?;
        system_uri(&redfish)
            .map_err(|missing| anyhow!("--redfish-device-id: {}", missing.message))?;
        if bmc_address(&redfish, false).is_err() {
            warn(
                "plain HTTP shows the password of the BMC to whoever listens; metalman does that only with --allow-plain-http-bmcs",
            );
        }
        Ok(Some(redfish))
    }

    /// The password, if there is a BMC. A dry run needs none.
    ///
    /// # Errors
    ///
    /// If none is given, or it cannot be read.
    pub(crate) fn password(&self, dry_run: DryRun) -> Result<Option<Password>> {
        if self.redfish_url.is_none() || dry_run != DryRun::None {
            return Ok(None);
        }
        match (&self.redfish_password_file, self.redfish_password_stdin) {
            (Some(file), _) => Password::of_file(file).map(Some),
            (None, true) => Password::of_stdin().map(Some),
            (None, false) => Err(anyhow!(
                "the password of the BMC is missing: give --redfish-password-file or \
                 --redfish-password-stdin"
            )),
        }
    }
}
