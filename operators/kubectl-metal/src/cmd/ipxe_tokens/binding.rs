//! Which machine a token is for.

use anyhow::{Result, bail};
use clap::Args;
use metal_api::{BootBinding, MacAddr, SystemUuid};
use metal_core::boot_token::binding::{TEXT, problem};

/// Hexadecimal digits of a SHA-256.
const SHA256: usize = 64;

/// What the machine has to say about itself, or to prove.
#[derive(Debug, Default, Args)]
pub(super) struct BindingArgs {
    /// Only for the machine with this MAC address
    #[arg(long, value_parser = mac, value_name = "MAC")]
    mac: Option<String>,
    /// Only for the machine with this serial number
    #[arg(long, value_parser = serial, value_name = "SERIAL")]
    serial: Option<String>,
    /// Only for the machine with this UUID
    #[arg(long, value_parser = uuid, value_name = "UUID")]
    uuid: Option<String>,
    /// Only for the machine whose TPM has the endorsement key with this SHA-256; it has to prove that
    #[arg(long, value_parser = ek_hash, value_name = "HASH")]
    ek_hash: Option<String>,
}

impl BindingArgs {
    /// The binding, if any of its flags is given.
    ///
    /// # Errors
    ///
    /// If many machines would fit.
    pub(super) fn binding(&self) -> Result<Option<BootBinding>> {
        let binding = BootBinding {
            mac_address: self.mac.clone(),
            serial: self.serial.clone(),
            system_uuid: self.uuid.clone(),
            ek_hash: self.ek_hash.clone(),
        };
        if let Some(why) = problem(&binding) {
            bail!("--serial, --uuid: {why}");
        }
        Ok(Some(binding).filter(|it| *it != BootBinding::default()))
    }
}

fn mac(text: &str) -> Result<String, String> {
    text.parse::<MacAddr>().map(|mac| mac.to_string()).map_err(|error| error.to_string())
}

fn uuid(text: &str) -> Result<String, String> {
    text.parse::<SystemUuid>().map(|uuid| uuid.to_string()).map_err(|error| error.to_string())
}

fn serial(text: &str) -> Result<String, String> {
    let is_serial = text.len() <= TEXT && text.contains(|c: char| c.is_ascii_graphic());
    let wrong = || format!("write up to {TEXT} characters, as the machine reports it");
    if is_serial { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn ek_hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == SHA256 && text.chars().all(|c| c.is_ascii_hexdigit());
    let wrong = || format!("write the {SHA256} hexadecimal digits of the SHA-256 of the key");
    if is_hash { Ok(text.to_owned()) } else { Err(wrong()) }
}
