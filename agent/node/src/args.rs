//! Flags.

use clap::{Parser, Subcommand};
use metal_tpm::{EkType, TpmLocation};
use std::path::PathBuf;

/// Makes this machine a node of a cluster: proves its TPM to metalman, and keeps the kubelet's kubeconfig
/// and certificate.
#[derive(Debug, Parser)]
#[command(name = "metal-agent", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only prints something
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What the machine is told by its cloud-init: its name, the cluster, and where metalman is
    #[arg(long, value_name = "FILE", default_value = "/etc/bloomery/agent.json")]
    pub config: PathBuf,
    /// TPM 2.0: a device such as /dev/tpmrm0, or swtpm:PATH or swtpm:HOST:PORT for one in software
    #[arg(long, default_value = "/dev/tpmrm0")]
    pub tpm: TpmLocation,
    /// Type of the endorsement key by which metalman knows this machine: some TPMs have a certificate for one
    /// of them only. Agents of Azure/unbounded take rsa
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = EkType::Rsa)]
    pub endorsement_key: EkType,
    /// The event log of the firmware, by which metalman explains a boot that is not allowed: by default that
    /// of the TPM in /sys/kernel/security
    #[arg(long, value_name = "FILE")]
    pub event_log: Option<PathBuf>,
    /// Where the kubelet's kubeconfig is kept; its certificate and key are in a file of this name with .pem
    #[arg(long, value_name = "FILE", default_value = "/var/lib/kubelet/kubeconfig")]
    pub kubeconfig: PathBuf,
    /// Ends as soon as there is a certificate: for kubelets that renew it themselves
    #[arg(long)]
    pub once: bool,
}

impl Args {
    /// Where the event log is.
    pub(crate) fn event_log(&self) -> Option<PathBuf> {
        self.event_log.clone().or_else(|| self.tpm.event_log())
    }
}

/// What it can print.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Prints the version
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_attest::client::EkTemplate;

    #[test]
    fn without_flags_it_is_what_the_unit_starts() {
        let args = Args::parse_from(["metal-agent"]);
        assert_eq!(args.tpm, TpmLocation::Device("/dev/tpmrm0".into()));
        assert!(!args.once && args.command.is_none());
        assert_eq!(args.endorsement_key.template(), EkTemplate::Rsa2048);
        let log = "/sys/kernel/security/tpm0/binary_bios_measurements";
        assert_eq!(args.event_log(), Some(log.into()));
        let args = Args::parse_from(["metal-agent", "--endorsement-key=ecc"]);
        assert_eq!(args.endorsement_key.template(), EkTemplate::P256);
        let version = Args::parse_from(["metal-agent", "version"]);
        assert!(matches!(version.command, Some(Command::Version)));
        assert!(Args::try_parse_from(["metal-agent", "--once", "version"]).is_err());
        assert!(Args::try_parse_from(["metal-agent", "--tpm", "swtpm:"]).is_err());
    }
}
