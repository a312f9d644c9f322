//! The command line: that of the peer, as far as it does something.

use crate::serve_url::{self, ServeUrl};
use clap::{CommandFactory, Parser, error::ErrorKind};
use metal_runtime::args::{
    Accepted, AdminArgs, BindAddress, ClientArgs, ElectionArgs, LogArgs, Parsed, size, try_parse,
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Flags of the peer that mean nothing here.
pub const ACCEPTED: &[Accepted] = &[
    Accepted::value("leader-elect-lease-duration", "the lease of every program here lasts 15 s"),
    Accepted::value("leader-elect-renew-deadline", "the lease of every program here lasts 15 s"),
    Accepted::value("leader-elect-retry-period", "the lease of every program here lasts 15 s"),
];

/// Says how far the machines of a site are, gives them their addresses by DHCP, and those that prove
/// themselves with their TPM a token with which they join the cluster.
///
/// Every replica answers machines; one of them, which holds the Lease metalman-SITE, writes how far they
/// are, and switches them off and on by their BMCs: see docs/metalman.md.
#[derive(Clone, Debug, Parser)]
#[command(name = "metalman", bin_name = "metalman serve-pxe", version, verbatim_doc_comment)]
#[command(mut_arg("leader_elect", |arg| arg.default_value("true").hide(true)))]
pub struct Args {
    /// Site of the machines: the label unbounded-cloud.io/site [default: machines without the label]
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// Where machines are answered
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// Port where machines are answered by HTTP
    #[arg(long, default_value_t = 8880, value_name = "PORT")]
    pub http_port: u16,
    /// Interface where machines are answered by DHCP [default: relays are answered, and nobody else]
    #[arg(long, value_name = "NAME", conflicts_with = "dhcp_auto_interface")]
    pub dhcp_interface: Option<String>,
    /// Answer machines by DHCP on the interface of the address where they are answered by HTTP
    #[arg(long)]
    pub dhcp_auto_interface: bool,
    /// Port where machines and relays are answered by DHCP; 0 for nowhere
    #[arg(long, default_value_t = 67, value_name = "PORT")]
    pub dhcp_port: u16,
    /// Port where machines get the files of their images by TFTP; 0 for nowhere
    #[arg(long, default_value_t = 69, value_name = "PORT")]
    pub tftp_port: u16,
    /// Where machines find what is served by HTTP [default: the address where they ask by DHCP]
    #[arg(long, value_name = "URL", value_parser = serve_url::parse)]
    pub serve_url: Option<String>,
    /// Directory for images, of this process alone [default: $CACHE_DIRECTORY, or /var/cache/metalman]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Size of an image at most, decompressed, and of layers that are being fetched
    #[arg(long, default_value = "32Gi", value_parser = size, value_name = "BYTES")]
    pub image_cache_size: u64,
    /// Registries that images may come from [default: any]
    #[arg(long, value_delimiter = ',', value_name = "HOST,..")]
    pub allowed_registries: Vec<String>,
    /// Registries to be reached by plain HTTP; those on this host always are
    #[arg(long, value_delimiter = ',', value_name = "HOST,..")]
    pub insecure_registries: Vec<String>,
    /// Authorities that sign the certificates of registries, as PEM, besides those of the system
    #[arg(long, value_name = "FILE")]
    pub registry_ca_path: Option<PathBuf>,
    /// Where machines reach the API server [default: what the ConfigMap kube-public/cluster-info says]
    #[arg(long, env = "METALMAN_APISERVER_URL", value_name = "URL")]
    pub apiserver_url: Option<String>,
    /// Address of the DNS of the cluster [default: that of the Service kube-system/kube-dns]
    #[arg(long, value_name = "ADDRESS")]
    pub cluster_dns: Option<IpAddr>,
    /// The only namespace whose ConfigMaps are served as user-data [default: that of the Lease]
    #[arg(long, value_name = "NAMESPACE")]
    pub user_data_namespace: Option<String>,
    /// Port of /healthz and /readyz
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    pub health_port: u16,
    /// Where /metrics answers; 0 for nowhere
    #[arg(long, default_value = "0", value_name = "ADDRESS")]
    pub metrics_bind_address: BindAddress,
    /// Namespace of the ServiceAccounts that machines join with: one for each, and nobody else's
    #[arg(long, default_value = "metalman-machines", value_name = "NAMESPACE")]
    pub machine_namespace: String,
    /// Namespace of the Secrets with the passwords of BMCs; Secrets of no other are read
    #[arg(long, default_value = "metalman-bmcs", value_name = "NAMESPACE")]
    pub bmc_secret_namespace: String,
    /// Speaks to BMCs whose URL says so by plain HTTP, which shows their passwords to whoever listens
    #[arg(long)]
    pub allow_plain_http_bmcs: bool,
    /// Which API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Leader election.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Args {
    /// The site, if it has a name.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref().filter(|site| !site.is_empty())
    }

    /// Where machines are answered by HTTP.
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.http_port)
    }

    /// Where machines find what is served by HTTP.
    pub fn serve_url(&self) -> ServeUrl {
        ServeUrl::new(self.serve_url.as_deref(), self.bind_address, self.http_port)
    }

    /// Where health and metrics are told.
    pub fn admin(&self) -> AdminArgs {
        AdminArgs {
            metrics_bind_address: self.metrics_bind_address.clone(),
            health_probe_bind_address: BindAddress::On {
                host: self.bind_address.to_string(),
                port: self.health_port,
            },
        }
    }
}

/// Parses a command line: `metalman serve-pxe` with flags, or `metalman version`.
///
/// # Errors
///
/// Those of clap, `--help` and `--version` among them.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    is_set: impl Fn(&str) -> bool,
) -> Result<Parsed<Args>, clap::Error> {
    let mut words: Vec<_> = words.into_iter().collect();
    match words.get(1).and_then(|word| word.to_str()) {
        Some("serve-pxe") => _ = words.remove(1),
        Some("version") => words[1] = "--version".into(),
        Some("-h" | "--help" | "-V" | "--version") => {}
        Some(_) | None => {
            let message = "say what to do: metalman serve-pxe, or metalman version";
            return Err(Args::command().error(ErrorKind::MissingSubcommand, message));
        }
    }
    try_parse(ACCEPTED, words, is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_of_the_peer_are_taken_as_far_as_they_do_something() {
        let peer = "serve-pxe --site=rack-a --bind-address 192.0.2.1 --http-port=80 --health-port 81 \
                    --leader-elect-lease-duration=30s --kubeconfig /k";
        let Parsed { args, ignored } = parsed(peer).unwrap();
        assert_eq!(
            (args.site(), args.http_address()),
            (Some("rack-a"), "192.0.2.1:80".parse().unwrap())
        );
        assert_eq!(args.admin().health_probe_bind_address.to_string(), "192.0.2.1:81");
        assert!(args.election.leader_elect && ignored.len() == 1);
        let Parsed { args, .. } = parsed("serve-pxe").unwrap();
        assert_eq!((args.site(), args.http_address()), (None, "0.0.0.0:8880".parse().unwrap()));
        assert_eq!(args.admin().health_probe_bind_address.to_string(), "0.0.0.0:8081");
        assert_eq!(args.admin().metrics_bind_address, BindAddress::Off);
        assert_eq!(parsed("serve-pxe --site=").unwrap().args.site(), None);
        assert!(!parsed("serve-pxe --leader-elect=false").unwrap().args.election.leader_elect);
    }

    #[test]
    fn what_to_do_has_to_be_said() {
        assert_eq!(parsed("").unwrap_err().kind(), ErrorKind::MissingSubcommand);
        assert_eq!(parsed("--site=a").unwrap_err().kind(), ErrorKind::MissingSubcommand);
        assert_eq!(parsed("version").unwrap_err().kind(), ErrorKind::DisplayVersion);
        assert_eq!(parsed("serve-pxe --help").unwrap_err().kind(), ErrorKind::DisplayHelp);
    }

    #[test]
    fn an_interface_is_named_or_found_and_not_both() {
        let Parsed { args, .. } = parsed("serve-pxe --dhcp-interface eth1").unwrap();
        assert_eq!((args.dhcp_interface.as_deref(), args.dhcp_port), (Some("eth1"), 67));
        assert!(parsed("serve-pxe --dhcp-auto-interface").unwrap().args.dhcp_auto_interface);
        let error = parsed("serve-pxe --dhcp-auto-interface --dhcp-interface=eth1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_url_that_no_machine_reaches_is_refused_at_the_start() {
        let error = parsed("serve-pxe --serve-url=http://0.0.0.0:8880").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        let Parsed { args, .. } = parsed("serve-pxe --serve-url=http://boot:80/").unwrap();
        assert_eq!(args.serve_url().at([10, 0, 0, 1].into()), "http://boot:80");
    }

    fn parsed(line: &str) -> Result<Parsed<Args>, clap::Error> {
        parse(["metalman"].into_iter().chain(line.split_whitespace()).map(Into::into), |_| false)
    }
}
