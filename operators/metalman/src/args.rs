//! The command line, compatible with that of unbounded-metal.

use crate::{
    context::PULL_SECRETS,
    serve_url::{self, ServeUrl},
    time_limits::TimeLimits,
};
use axum::http::Uri;
use clap::{CommandFactory, Parser, error::ErrorKind};
use ipnet::IpNet;
use metal_image::RegistryArgs;
use metal_runtime::args::{
    Accepted, AdminArgs, BindAddress, ClientArgs, ElectionArgs, LogArgs, Parsed, namespace, size,
    try_parse,
};
use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

/// Flags of the Go program that have no effect here.
pub const ACCEPTED: &[Accepted] = &[
    Accepted::value("leader-elect-lease-duration", "the lease duration is fixed at 15 s"),
    Accepted::value("leader-elect-renew-deadline", "the lease duration is fixed at 15 s"),
    Accepted::value("leader-elect-retry-period", "the lease duration is fixed at 15 s"),
];

/// What --allowed-registries means here.
const ALLOWED: &str = "OCI registries that netboot images may be pulled from [default: any]";

/// The longest name of a site: that of the value of a label.
const SITE: usize = 63;

/// Provisions the Machines of one site: assigns their IP addresses by DHCP, boots and installs them over
/// the network, and issues a token for joining the cluster to those that authenticate by TPM.
///
/// Every replica serves machines. The leader, which holds the Lease metalman-SITE, updates the status of
/// Machines and controls their power through their BMCs. See docs/metalman.md.
#[derive(Clone, Debug, Parser)]
#[command(name = "metalman", bin_name = "metalman serve-pxe", version, verbatim_doc_comment)]
#[command(mut_arg("leader_elect", |arg| arg.default_value("true").hide(true)))]
#[command(mut_arg("allowed_registries", |arg| arg.help(ALLOWED)))]
pub struct Args {
    /// Only manage Machines whose label unbounded-cloud.io/site has this value [default: Machines
    /// without the label]
    #[arg(long, value_name = "NAME", value_parser = site)]
    pub site: Option<String>,
    /// IP address to listen on for HTTP, TFTP and health probes. With an IPv6 address other than ::,
    /// --serve-url is required
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDRESS")]
    pub bind_address: IpAddr,
    /// HTTP port for booting machines
    #[arg(long, default_value_t = 8880, value_name = "PORT")]
    pub http_port: u16,
    /// Network interface on which to answer DHCP requests of machines [default: answer only
    /// requests that a DHCP relay forwards]
    #[arg(long, value_name = "NAME", conflicts_with = "dhcp_auto_interface")]
    pub dhcp_interface: Option<String>,
    /// Answer DHCP requests on the network interface that has the IP address of --bind-address, or
    /// without one, that of the default route
    #[arg(long)]
    pub dhcp_auto_interface: bool,
    /// DHCP port; 0 disables DHCP
    #[arg(long, default_value_t = 67, value_name = "PORT")]
    pub dhcp_port: u16,
    /// TFTP port for boot files from netboot images; 0 disables TFTP
    #[arg(long, default_value_t = 69, value_name = "PORT")]
    pub tftp_port: u16,
    /// Networks of proxies whose X-Forwarded-For header is trusted. Any host in them can
    /// impersonate any Machine, so list only proxies [default: none]
    #[arg(long, value_delimiter = ',', value_name = "CIDR,..")]
    pub trusted_proxies: Vec<IpNet>,
    /// Base URL at which machines reach the HTTP port [default: the IP address at which they reach
    /// DHCP]
    #[arg(long, value_name = "URL", value_parser = serve_url::parse)]
    pub serve_url: Option<String>,
    /// Cache directory for netboot images; must not be shared with another process [default:
    /// $CACHE_DIRECTORY, or /var/cache/metalman]
    #[arg(long, value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Maximum size of an unpacked image, and of all layers being downloaded
    #[arg(long, default_value = "32Gi", value_parser = size, value_name = "BYTES")]
    pub image_cache_size: u64,
    /// Maximum size of all unpacked images together; layers being downloaded are not part of it
    #[arg(long, default_value = "90Gi", value_parser = size, value_name = "BYTES")]
    pub kept_images_size: u64,
    /// Which registries, and how to access them.
    #[command(flatten)]
    pub registry: RegistryArgs,
    /// URL at which machines reach the API server [default: from the ConfigMap
    /// kube-public/cluster-info]
    #[arg(long, env = "METALMAN_APISERVER_URL", value_name = "URL", value_parser = api_url)]
    pub apiserver_url: Option<String>,
    /// IP address of the cluster DNS [default: that of the Service kube-system/kube-dns]
    #[arg(long, value_name = "ADDRESS")]
    pub cluster_dns: Option<IpAddr>,
    /// Namespace of the ConfigMaps that Machines may reference as user-data; no other namespace is
    /// read [default: the namespace of the Lease]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub user_data_namespace: Option<String>,
    /// Name of the Node that this process runs on: its machine is not switched off by this process
    /// [default: none is taken for it]
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,
    /// Port for /healthz and /readyz
    #[arg(long, default_value_t = 8081, value_name = "PORT")]
    pub health_port: u16,
    /// Address of the /metrics endpoint; 0 disables it
    #[arg(long, default_value = "0", value_name = "ADDRESS")]
    pub metrics_bind_address: BindAddress,
    /// PEM file, or folder of .pem and .crt files, with the authorities of TPM makers: the first
    /// endorsement key of a machine then needs a certificate of one of them. Read again when it
    /// changes [default: the first key is taken on trust]
    #[arg(long, env = "METALMAN_EK_ROOTS_PATH", value_name = "PATH")]
    pub ek_roots_path: Option<PathBuf>,
    /// Namespace of the ServiceAccounts that machines join the cluster with, one per Machine; must
    /// not contain other ServiceAccounts
    #[arg(long, default_value = "metalman-machines", value_name = "NAMESPACE", value_parser = namespace)]
    pub machine_namespace: String,
    /// Namespace of the Secrets with BMC credentials; Secrets in other namespaces are never read
    #[arg(long, default_value = "metalman-bmcs", value_name = "NAMESPACE", value_parser = namespace)]
    pub bmc_secret_namespace: String,
    /// Namespace of the Secrets with registry credentials that Machines may reference in
    /// spec.pxe.imagePullSecrets; Secrets in other namespaces are never read
    #[arg(long, default_value = PULL_SECRETS, value_name = "NAMESPACE", value_parser = namespace)]
    pub pull_secret_namespace: String,
    /// Allow http:// URLs for BMCs; credentials then cross the network unencrypted
    #[arg(long)]
    pub allow_plain_http_bmcs: bool,
    /// Time limits of reboots and installations.
    #[command(flatten)]
    pub time_limits: TimeLimits,
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

    /// The listen address for HTTP.
    pub fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.bind_address, self.http_port)
    }

    /// The base URL for machines.
    pub fn serve_url(&self) -> ServeUrl {
        ServeUrl::new(self.serve_url.as_deref(), self.bind_address, self.http_port)
    }

    /// Whether machines would be told an address at which nobody listens: they are told an IPv4 one.
    fn is_nowhere(&self) -> bool {
        match self.bind_address.to_canonical() {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => !address.is_unspecified() && self.serve_url.is_none(),
        }
    }

    /// The addresses for health and metrics.
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
/// Those of clap, including `--help` and `--version`.
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
            let message = "a command is required: metalman serve-pxe or metalman version";
            return Err(Args::command().error(ErrorKind::MissingSubcommand, message));
        }
    }
    let parsed: Parsed<Args> = try_parse(ACCEPTED, words, is_set)?;
    let election = &parsed.args.election;
    if let Some(site) = parsed.args.site().filter(|site| election.leader_elect && !is_in_name(site))
    {
        let message = format!(
            "--site={site} is part of the name of the Lease: use lower-case letters, digits, hyphens and dots"
        );
        return Err(Args::command().error(ErrorKind::ValueValidation, message));
    }
    if parsed.args.is_nowhere() {
        let message = "--bind-address: machines are found by IPv4, and nothing would listen there: set \
                       --serve-url to where they reach this address, or listen on :: or an IPv4 address";
        return Err(Args::command().error(ErrorKind::ValueValidation, message));
    }
    Ok(parsed)
}

/// Checks `--site`; an empty one says nothing. It is the value of a label in a selector: with another one no Machine
/// would be found.
fn site(text: &str) -> Result<String, String> {
    let is_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    let is_value = text.len() <= SITE
        && text.bytes().all(is_label)
        && ends.iter().flatten().all(|byte| byte.is_ascii_alphanumeric());
    if is_value {
        return Ok(text.to_owned());
    }
    Err(format!(
        "use up to {SITE} letters, digits, hyphens, underscores and dots, between letters or digits"
    ))
}

/// Whether a site may be part of the name of an object, as that of the Lease: with another one nobody would ever
/// lead.
fn is_in_name(site: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    site.split('.').all(|part| {
        let is_whole = !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
        is_whole && part.bytes().all(is_of_name)
    })
}

/// Checks `--apiserver-url`; its variable may be empty, which says nothing. What is wrong with it would show on
/// the consoles of machines alone, after they were installed.
fn api_url(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok();
    let is_url = uri.is_some_and(|uri| {
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        uri.scheme_str() == Some("https") && has_host && uri.query().is_none()
    });
    if text.is_empty() || (is_url && !text.contains(['@', '#'])) {
        return Ok(text.to_owned());
    }
    Err("use https://HOST:PORT, without user, query or fragment".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_lines_of_the_peer_are_taken_as_far_as_they_do_something() {
        let unbounded = "serve-pxe --site=rack-a --bind-address 192.0.2.1 --http-port=80 --health-port 81 \
                    --leader-elect-lease-duration=30s --kubeconfig /k";
        let Parsed { args, ignored } = parsed(unbounded).unwrap();
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
    fn a_site_that_no_lease_could_be_named_by_is_refused_at_the_start() {
        let at = |site: &str| parse(["metalman", "serve-pxe", site].map(Into::into), |_| false);
        for right in ["rack-a", "0", "rack-a.berlin", ""] {
            assert!(at(&format!("--site={right}")).is_ok(), "{right}");
        }
        let long = "a".repeat(64);
        for wrong in ["Rack-A", "rack_a", "a,b", "a b", "-a", "a-", "a..b", ".", &long] {
            let error = at(&format!("--site={wrong}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{wrong}");
        }
    }

    #[test]
    fn a_site_without_election_may_be_any_value_of_a_label() {
        let at = |site: &str| parsed(&format!("serve-pxe --leader-elect=false --site={site}"));
        for right in ["Rack_A", "rack-a", "a..b", "0"] {
            assert_eq!(at(right).unwrap().args.site(), Some(right));
        }
        for wrong in ["a,b", "-a", "a_", ".", &"a".repeat(64)] {
            assert_eq!(at(wrong).unwrap_err().kind(), ErrorKind::ValueValidation, "{wrong}");
        }
    }

    #[test]
    fn a_namespace_that_there_cannot_be_is_refused_at_the_start() {
        for flag in ["user-data", "machine", "bmc-secret", "pull-secret"] {
            let error = parsed(&format!("serve-pxe --{flag}-namespace=$(NAMESPACE)")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{flag}");
        }
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

    #[test]
    fn an_address_of_ipv6_alone_needs_the_url_by_which_machines_reach_it() {
        let at = |flags: &str| parsed(&format!("serve-pxe --bind-address={flags}"));
        let error = at("fd00::1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(error.to_string().contains("set --serve-url"), "{error}");
        for fine in ["::", "::ffff:10.0.0.2", "10.0.0.2", "fd00::1 --serve-url=http://boot:80"] {
            assert!(at(fine).is_ok(), "{fine}");
        }
    }

    #[test]
    fn an_api_server_that_no_agent_takes_is_refused_at_the_start() {
        let at = |url: &str| parsed(&format!("serve-pxe --apiserver-url={url}"));
        for right in ["https://api.example:6443", "https://[fd00::1]:6443/", ""] {
            assert_eq!(at(right).unwrap().args.apiserver_url.as_deref(), Some(right));
        }
        for wrong in ["http://api:6443", "api:6443", "https://", "https://u@api", "https://api?x"] {
            let error = at(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{wrong}");
        }
    }

    #[test]
    fn nobody_asks_for_another_machine_unless_a_flag_says_so() {
        assert!(parsed("serve-pxe").unwrap().args.trusted_proxies.is_empty());
        let Parsed { args, .. } =
            parsed("serve-pxe --trusted-proxies=10.0.0.1/32,fd00::1/128").unwrap();
        assert_eq!(args.trusted_proxies.len(), 2);
        let error = parsed("serve-pxe --trusted-proxies=proxy").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
    }

    fn parsed(line: &str) -> Result<Parsed<Args>, clap::Error> {
        parse(["metalman"].into_iter().chain(line.split_whitespace()).map(Into::into), |_| false)
    }
}
