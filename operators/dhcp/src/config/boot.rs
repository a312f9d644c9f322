//! Boot files, and where a packet has room for their names.

use super::Config;
use crate::port::TFTP;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Boot files by kind of client. Where one is `None`, such clients get an address and go on to
/// their next boot device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// For a BIOS, by TFTP.
    pub bios: Option<TftpFile>,
    /// For x86-64 UEFI, by TFTP.
    pub uefi: Option<TftpFile>,
    /// For 64-bit ARM UEFI, by TFTP.
    pub arm64: Option<TftpFile>,
    /// URL for x86-64 UEFI HTTP boot.
    pub http: Option<String>,
    /// URL for 64-bit ARM UEFI HTTP boot.
    pub http_arm64: Option<String>,
    /// URL of iPXE for x86-64 UEFI HTTP boot, which runs the boot URL of a machine.
    pub uefi_http: Option<String>,
    /// The same for 64-bit ARM UEFI.
    pub arm64_http: Option<String>,
    /// URL of the script for iPXE, which fills in settings such as `${uuid}`.
    pub ipxe: Option<String>,
}

/// A file on a TFTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TftpFile {
    /// The server; `None` is this one.
    pub server: Option<Ipv4Addr>,
    /// The file on it.
    pub path: String,
}

/// Longest name that fits into `file` with its terminating zero.
pub(crate) const MAX_FILE: usize = 127;

/// A file that firmware is told to load by TFTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The server; `None` is this one, or one that is named by a host name.
    pub server: Option<IpAddr>,
    /// The file on it.
    pub path: String,
}

impl NamedFile {
    /// The file at a URL (RFC 3617); `None` if that is not one of TFTP.
    fn at(url: &str) -> Option<Self> {
        let (host, path) = url.strip_prefix("tftp://")?.split_once('/')?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or(rest, |(host, _)| host),
            None => host.split_once(':').map_or(host, |(host, _)| host),
        };
        let path = path.split_once(";mode=").map_or(path, |(path, _)| path);
        Some(Self { server: host.parse().ok(), path: path.to_owned() })
    }

    /// Whether the server is this one, if a request came in at our address `here`. That of one IP
    /// version says nothing of the other one.
    pub fn is_at(&self, here: IpAddr) -> bool {
        let here = here.to_canonical();
        self.server.is_none_or(|server| server == here || server.is_ipv4() != here.is_ipv4())
    }
}

impl Config {
    /// The files that firmware is told to load by TFTP, by either IP version.
    pub fn tftp_files(&self) -> Vec<NamedFile> {
        let BootFiles { bios, uefi, arm64, .. } = &self.boot;
        let files = [bios, uefi, arm64].into_iter().flatten();
        let files = files.map(|TftpFile { server, path }| NamedFile {
            server: server.map(IpAddr::V4),
            path: path.clone(),
        });
        let urls = self.dhcp6.iter().flat_map(|dhcp6| [&dhcp6.boot.uefi, &dhcp6.boot.arm64]);
        files.chain(urls.flatten().filter_map(|url| NamedFile::at(url))).collect()
    }

    /// An own IPv6 address at which firmware is told to load files by TFTP, although the TFTP server
    /// does not listen there.
    pub fn unserved_tftp(&self, is_own: impl Fn(Ipv6Addr) -> bool) -> Option<Ipv6Addr> {
        let listen = &self.tftp.as_ref()?.listen;
        let is_served = |own: &Ipv6Addr| {
            let here = [IpAddr::V6(*own), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
            listen.iter().any(|at| at.port() == TFTP && here.contains(&at.ip()))
        };
        let named = self.tftp_files().into_iter().filter_map(|file| match file.server? {
            IpAddr::V6(server) => Some(server),
            IpAddr::V4(_) => None,
        });
        named.into_iter().find(|server| !is_served(server) && is_own(*server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_at_a_url_of_tftp_is_named_with_its_server() {
        let own: Option<IpAddr> = "fd77::2".parse().ok();
        for (url, server, path) in [
            ("tftp://[fd77::2]/snponly.efi", own, "snponly.efi"),
            ("tftp://[fd77::2]:69/efi/a.efi;mode=octet", own, "efi/a.efi"),
            ("tftp://10.0.0.1:69/a", "10.0.0.1".parse().ok(), "a"),
            ("tftp://boot.example.org/a", None, "a"),
        ] {
            let named = NamedFile { server, path: path.to_owned() };
            assert_eq!(NamedFile::at(url), Some(named), "{url}");
        }
        assert_eq!(NamedFile::at("http://[fd77::2]/snponly.efi"), None);
        assert_eq!(NamedFile::at("tftp://[fd77::2]"), None);
    }

    #[test]
    fn an_own_address_where_nothing_listens_for_the_files_that_it_is_to_have_is_told() {
        let own: Ipv6Addr = "fd77::2".parse().unwrap();
        let config = |tftp: &str| {
            let text = "dhcp6: { interfaces: [a], subnets: [], \
                        boot: { uefi: 'tftp://[fd77::2]/a.efi' } }\n";
            Config::parse(&format!("{text}{tftp}")).unwrap()
        };
        for (tftp, unserved) in [
            ("tftp: { root: /a }", Some(own)),
            ("tftp: { root: /a, listen: ['fd77::3'] }", Some(own)),
            ("tftp: { root: /a, listen: ['[::]:70'] }", Some(own)),
            ("tftp: { root: /a, listen: ['::'] }", None),
            ("tftp: { root: /a, listen: ['fd77::2'] }", None),
            ("", None),
        ] {
            assert_eq!(config(tftp).unserved_tftp(|it| it == own), unserved, "{tftp}");
            assert_eq!(config(tftp).unserved_tftp(|_| false), None, "it is another server's");
        }
    }
}
