//! The command line.

use clap::Parser;
use metal_dhcp::{Sharing, config::Config};
use metal_runtime::args::{AdminArgs, ClientArgs, LogArgs, namespace};
use std::path::PathBuf;

const CONFIG_HELP: &str = concat!(
    "Configuration file (YAML). Only interfaces (or listen) and subnets are required; with a dhcp6 \
     section they are optional, too. An example with all fields:\n\n",
    include_str!("../example.yaml"),
);

/// DHCP and TFTP server for the out-of-band and boot networks. Assigns addresses and boot files, and
/// records the BMCs that it sees as Endpoints.
///
/// A lease is written to --lease-file before the client gets it, so no lease is lost if this process
/// is killed. The file is synced to disk every second: a power failure can lose the leases of the last
/// second. Without --lease-file, leases are lost when the process ends.
///
/// The files of --config and --mac-prefixes-file are reloaded when they change. If the new version is
/// invalid, an error is logged and the previous one stays in effect. Reloading loses no leases.
///
/// DHCP requests are answered even if the API server is unreachable; Endpoints are written when it is
/// back. Boot methods come from the last known state of the API server, or from the configuration file
/// if there is none yet, or with --no-endpoints.
///
/// `netboot schema` prints the JSON schema of the configuration file; `netboot convert-fedhcp` converts
/// a configuration of FeDHCP. Each has its own --help.
#[derive(Debug, Parser)]
#[command(name = "netboot", version, verbatim_doc_comment)]
// netboot is in its host's network: health and metrics must not be on all of the host's networks.
#[command(mut_arg("metrics_bind_address", |arg| arg.default_value("127.0.0.1:8080")))]
#[command(mut_arg("health_probe_bind_address", |arg| arg.default_value("127.0.0.1:8081")))]
pub struct Args {
    /// Configuration file (YAML): interfaces, subnets, boot files
    #[arg(long, value_name = "FILE", long_help = CONFIG_HELP, verbatim_doc_comment)]
    pub config: PathBuf,
    /// File to store leases in; must not be shared with another process [default: leases are only
    /// in memory]
    #[arg(long, value_name = "FILE")]
    pub lease_file: Option<PathBuf>,
    /// MAC prefix database of metal-operator (YAML): which MAC addresses belong to BMCs
    #[arg(long, value_name = "FILE")]
    pub mac_prefixes_file: Option<PathBuf>,
    /// Do not record Endpoints and DHCPLeases; no API server is needed
    #[arg(long)]
    pub no_endpoints: bool,
    /// Namespace of the Lease, if an active and a standby instance are configured [default: that of
    /// the pod or the kubeconfig]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub leader_elect_namespace: Option<String>,
    /// Namespace of the Secrets that each give one machine a boot URL, which has to have no other
    /// Secrets; they are never logged [default: there are none]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace, conflicts_with = "no_endpoints")]
    pub boot_url_namespace: Option<String>,
    /// Which API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Health and metrics.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The flags contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// Endpoints are to be recorded, but it is not known which clients are BMCs.
    #[error("--mac-prefixes-file is required to recognize BMCs; set it, or use --no-endpoints")]
    NobodyToRecord,
    /// Two instances cannot know which of them answers.
    #[error(
        "instances.mode `standby` needs the API server to elect the active instance; \
         remove --no-endpoints, or use the mode `split`"
    )]
    NobodyToElect,
}

impl Args {
    /// Whether the flags can be followed.
    ///
    /// # Errors
    ///
    /// If two of them contradict each other.
    pub fn check(&self) -> Result<(), Contradiction> {
        let records = !self.no_endpoints;
        let is_blind = records && self.mac_prefixes_file.is_none();
        if is_blind { Err(Contradiction::NobodyToRecord) } else { Ok(()) }
    }

    /// Whether the flags fit to the configuration.
    ///
    /// # Errors
    ///
    /// If they contradict it.
    pub fn check_with(&self, config: &Config) -> Result<(), Contradiction> {
        let elects = config.instances.is_some_and(|it| it.mode == Sharing::Standby);
        if elects && self.no_endpoints { Err(Contradiction::NobodyToElect) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn args(words: &[&str]) -> Args {
        Args::parse_from([&["netboot", "--config=c.yaml"], words].concat())
    }

    #[test]
    fn recording_without_knowing_bmcs_is_refused_with_both_ways_out() {
        let error = args(&[]).check().unwrap_err();
        assert_eq!(error, Contradiction::NobodyToRecord);
        let text = error.to_string();
        assert!(text.contains("--mac-prefixes-file") && text.contains("--no-endpoints"), "{text}");
        assert_eq!(args(&["--no-endpoints"]).check(), Ok(()));
        assert_eq!(args(&["--mac-prefixes-file=m.yaml"]).check(), Ok(()));
    }

    #[test]
    fn a_standby_needs_an_api_server() {
        let config = |section| {
            let text = format!("interfaces: [eth1]\nsubnets: []\n{section}");
            Config::parse(&text).unwrap()
        };
        let standby = config("instances: { mode: standby, part: 1 }");
        let alone = args(&["--no-endpoints"]);
        assert_eq!(alone.check_with(&standby), Err(Contradiction::NobodyToElect));
        assert_eq!(args(&["--mac-prefixes-file=m.yaml"]).check_with(&standby), Ok(()));
        let split = config("instances: { mode: split, part: 1 }");
        assert_eq!((alone.check_with(&split), alone.check_with(&config(""))), (Ok(()), Ok(())));
    }

    #[test]
    fn a_namespace_that_there_cannot_be_is_refused_by_its_flag() {
        for flag in ["--boot-url-namespace", "--leader-elect-namespace"] {
            let words = ["netboot", "--config=c.yaml", flag, ""];
            let error = Args::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn the_example_in_the_help_can_be_used() {
        let config = Config::parse(include_str!("../example.yaml")).unwrap();
        assert_eq!(config.subnets[0].reservations.len(), 1);
        assert!(config.boot.http_arm64.is_some());
    }

    #[test]
    fn health_and_metrics_are_not_on_every_network_of_the_host() {
        let admin = args(&["--no-endpoints"]).admin;
        for address in [admin.metrics_bind_address, admin.health_probe_bind_address] {
            assert!(address.to_string().starts_with("127.0.0.1:"), "{address}");
        }
    }

    #[test]
    fn help_tells_every_flag_and_what_a_crash_costs() {
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        for text in ["--config", "--lease-file", "--no-endpoints", "power failure", "leaseTime: 1h"]
        {
            assert!(help.contains(text), "{text}");
        }
    }
}
