//! Flags.

use crate::{bootc::Bootc, key::KeyPlace};
use clap::{Parser, Subcommand};
use metal_tpm::{EkType, TpmLocation};
use std::{path::PathBuf, time::Duration};

/// Makes this machine a Host, and has it run the release that its Host names.
#[derive(Clone, Debug, Parser)]
#[command(name = "metal-host", version)]
pub struct Args {
    /// What to do instead
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Configuration file that the installation left: server and registration credential
    #[arg(long, value_name = "FILE", default_value = "/etc/bloomery/host.json")]
    pub config: PathBuf,
    /// Folder of the key and of what is recorded; it has to outlive updates of the system
    #[arg(long, value_name = "DIR", default_value = "/var/lib/bloomery-host")]
    pub state_dir: PathBuf,
    /// Authorities that sign the certificate of the server, as PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Where the key of this host is made
    #[arg(long, value_enum, value_name = "PLACE", default_value_t = KeyPlace::Auto)]
    pub key: KeyPlace,
    /// TPM 2.0, for the key, and for a token that is bound to one: a device such as /dev/tpmrm0, or swtpm:PATH or
    /// swtpm:HOST:PORT for one in software
    #[arg(long, default_value = "/dev/tpmrm0")]
    pub tpm: TpmLocation,
    /// Type of the endorsement key that the token is bound to
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = EkType::Rsa)]
    pub endorsement_key: EkType,
    /// Program that has the system run a release: with BLOOMERY_RELEASE, BLOOMERY_IMAGE,
    /// BLOOMERY_CONFIG (a file, or empty), BLOOMERY_FILES (a folder of rendered files, or empty)
    /// and BLOOMERY_MODES (a file with mode and owner of each, or empty). 0 is done, 75 is after the
    /// restart that it has begun
    #[arg(long, value_name = "FILE", default_value = "/usr/libexec/bloomery/activate")]
    pub hook: PathBuf,
    /// Program that prints the image, by digest, of the system that was installed: what the first
    /// release is rolled back to [default: bootc is asked]
    #[arg(long, value_name = "FILE")]
    pub image_command: Option<PathBuf>,
    /// Program that exits with 0 if the system is healthy [default: it always counts as healthy]
    #[arg(long, value_name = "FILE")]
    pub health_command: Option<PathBuf>,
    /// How long a release may take until it is healthy
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub health_timeout: Duration,
    /// How long the server may take to answer a release that is new, so that one which cuts the
    /// network is rolled back; 0 does not ask
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "TIME")]
    pub server_timeout: Duration,
    /// How often the health of a release is looked at that was not healthy after a restart
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub recheck: Duration,
    /// How long the hook may take
    #[arg(long, default_value = "30m", value_parser = duration, value_name = "TIME")]
    pub hook_timeout: Duration,
    /// How long the restart that the hook has begun may take to come
    #[arg(long, default_value = "15m", value_parser = duration, value_name = "TIME")]
    pub restart_timeout: Duration,
    /// Delay before the rollback hook is retried
    #[arg(long, default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub rollback_pause: Duration,
    /// File with the number of this boot
    #[arg(
        long,
        hide = true,
        value_name = "FILE",
        default_value = "/proc/sys/kernel/random/boot_id"
    )]
    pub boot_id: PathBuf,
}

/// What is done instead of running the agent.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Has a system of bootc run an image: 0 if it does, 75 if a restart was begun for it; for the hook
    Bootc(Bootc),
}

fn duration(text: &str) -> Result<Duration, metal_base::duration::NotADuration> {
    metal_base::duration::parse(text)
}
