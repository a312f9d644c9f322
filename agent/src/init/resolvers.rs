//! The name servers that all ports were given, in the file that the C library reads (resolv.conf(5)).

use super::link::Link;
use metal_base::{Chain, Locked};
use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, Mutex},
};

const FILE: &str = "/etc/resolv.conf";
/// The C library uses this many and no more (`MAXNS`).
pub(super) const MOST: usize = 3;
/// The one asked first may be out of reach: then the next one is soon asked, and the deadline of a request
/// is not used up by then.
const OPTIONS: &str = "options timeout:2 attempts:3\n";

/// The name servers of all ports.
#[derive(Clone, Debug)]
pub(super) struct Resolvers(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    file: PathBuf,
    lists: BTreeMap<Key, Vec<String>>,
    /// What the file holds, if we have written it.
    written: Option<String>,
}

/// Index of the link, and who told.
type Key = (u32, Source);

/// Who tells of name servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A DHCP server.
    Dhcp,
    /// A DHCPv6 server.
    Dhcp6,
    /// A router (RFC 8106).
    Router,
}

/// The name servers that one source tells of at one port, which count until this is dropped.
#[derive(Debug)]
pub(super) struct LinkResolvers {
    all: Resolvers,
    key: Key,
    link: String,
}

impl Resolvers {
    /// Those of this machine.
    pub(super) fn new() -> Self {
        Self::at(FILE.into())
    }

    /// Those in another file.
    pub(super) fn at(file: PathBuf) -> Self {
        let (lists, written) = (BTreeMap::new(), None);
        Self(Arc::new(Mutex::new(Known { file, lists, written })))
    }

    /// Those that a source tells of at a port; none so far.
    pub(super) fn of(&self, link: &Link, source: Source) -> LinkResolvers {
        let key = (link.index, source);
        LinkResolvers { all: self.clone(), key, link: link.name.clone() }
    }
}

impl LinkResolvers {
    /// These are the name servers from now on.
    pub(super) fn set(&self, servers: impl IntoIterator<Item = IpAddr>) {
        let usable = servers.into_iter().filter(is_usable).take(MOST);
        let list: Vec<_> = usable.map(|ip| self.text(ip)).collect();
        let mut known = self.all.0.locked();
        if list.is_empty() {
            known.lists.remove(&self.key);
        } else {
            known.lists.insert(self.key, list);
        }
        if let Err(error) = known.write() {
            let error = Chain(&error).to_string();
            tracing::warn!(error, "could not write the list of DNS servers");
        }
    }

    /// A link-local address counts on its link only.
    fn text(&self, ip: IpAddr) -> String {
        match ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => format!("{ip}%{}", self.link),
            ip => ip.to_string(),
        }
    }
}

impl Drop for LinkResolvers {
    fn drop(&mut self) {
        self.set([]);
    }
}

fn is_usable(ip: &IpAddr) -> bool {
    let is_everybody = *ip == Ipv4Addr::BROADCAST || ip.is_multicast();
    !is_everybody && !ip.is_unspecified() && !ip.is_loopback()
}

impl Known {
    /// Replaces the file at once: whoever reads it sees all of it.
    fn write(&mut self) -> io::Result<()> {
        let text = text(&merged(&self.lists));
        if self.written.as_ref() == Some(&text) || (self.written.is_none() && text.is_empty()) {
            return Ok(());
        }
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        let new = self.file.with_extension("new");
        fs::write(&new, &text)?;
        fs::rename(&new, &self.file)?;
        self.written = Some(text);
        Ok(())
    }
}

/// The first one of each port, then the second ones: where the network of one port does not reach what a
/// machine is after, that of another one may. The port with the lowest index comes first, as its routes do.
/// Those of a port are the first one of each source, then the second ones.
fn merged(lists: &BTreeMap<Key, Vec<String>>) -> Vec<&str> {
    let mut ports = BTreeMap::<u32, Vec<Vec<&str>>>::new();
    for ((index, _), list) in lists {
        ports.entry(*index).or_default().push(list.iter().map(String::as_str).collect());
    }
    let ports: Vec<_> = ports.values().map(|sources| in_turn(sources)).collect();
    in_turn(&ports)
}

/// The first one of each list, then the second ones; each once, and at most [`MOST`].
fn in_turn<'a>(lists: &[Vec<&'a str>]) -> Vec<&'a str> {
    let mut all = Vec::new();
    for server in (0..MOST).flat_map(|at| lists.iter().filter_map(move |list| list.get(at))) {
        if all.len() < MOST && !all.contains(server) {
            all.push(*server);
        }
    }
    all
}

fn text(servers: &[&str]) -> String {
    if servers.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    lines.concat() + OPTIONS
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn each_port_has_a_say_and_a_renewal_of_one_leaves_those_of_another_alone() {
        let machine = Machine::new();
        let (first, second) = (machine.port(2), machine.port(3));
        second.set(ips(&["10.2.0.1", "10.2.0.2", "10.2.0.3"]));
        assert_eq!(machine.servers(), ["10.2.0.1", "10.2.0.2", "10.2.0.3"]);
        first.set(ips(&["10.1.0.1", "10.1.0.2", "10.1.0.3"]));
        assert_eq!(machine.servers(), ["10.1.0.1", "10.2.0.1", "10.1.0.2"]);
        first.set(ips(&["10.1.0.9"]));
        assert_eq!(machine.servers(), ["10.1.0.9", "10.2.0.1", "10.2.0.2"]);
        drop(first);
        assert_eq!(machine.servers(), ["10.2.0.1", "10.2.0.2", "10.2.0.3"]);
        drop(second);
        assert_eq!(machine.servers(), Vec::<String>::new());
    }

    #[test]
    fn a_server_that_several_ports_tell_of_is_listed_once() {
        let machine = Machine::new();
        let ports = [4, 2, 3].map(|index| machine.port(index));
        for port in &ports {
            port.set(ips(&["10.0.0.1", "10.0.0.1", "10.0.0.2"]));
        }
        assert_eq!(machine.servers(), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn what_dhcp_says_comes_first_and_a_link_local_server_has_its_link() {
        let machine = Machine::new();
        let six = machine.0.of(&link(2), Source::Dhcp6);
        six.set(ips(&["fe80::1", "fd77::3"]));
        let four = machine.port(2);
        four.set(ips(&["10.0.0.1"]));
        assert_eq!(machine.servers(), ["10.0.0.1", "fe80::1%port2", "fd77::3"]);
    }

    #[test]
    fn a_port_that_hears_of_servers_in_several_ways_leaves_a_place_for_another_port() {
        let machine = Machine::new();
        let of = |index, source, ip: &str| {
            let resolvers = machine.0.of(&link(index), source);
            resolvers.set(ips(&[ip]));
            resolvers
        };
        let ports = [
            of(2, Source::Dhcp, "10.0.0.1"),
            of(2, Source::Dhcp6, "fd77::1"),
            of(2, Source::Router, "fd77::2"),
            of(3, Source::Dhcp, "10.3.0.1"),
        ];
        assert_eq!(machine.servers(), ["10.0.0.1", "10.3.0.1", "fd77::1"]);
        drop(ports);
    }

    #[test]
    fn what_cannot_be_a_server_is_left_out() {
        let machine = Machine::new();
        let port = machine.port(2);
        let nobody =
            ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "::", "::1", "ff02::1"];
        port.set(ips(&nobody));
        assert_eq!(machine.servers(), Vec::<String>::new());
        port.set(ips(&[&nobody[..], &["10.0.0.1"]].concat()));
        assert_eq!(machine.servers(), ["10.0.0.1"]);
    }

    #[test]
    fn a_machine_that_was_told_of_no_server_keeps_the_file_of_its_image() {
        let machine = Machine::new();
        fs::write(machine.file(), "nameserver 10.9.9.9\n").unwrap();
        machine.port(2).set([]);
        assert_eq!(machine.servers(), ["10.9.9.9"]);
    }

    struct Machine(Resolvers, TempDir);

    impl Machine {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self(Resolvers::at(folder.path().join("resolv.conf")), folder)
        }

        fn file(&self) -> PathBuf {
            self.1.path().join("resolv.conf")
        }

        fn port(&self, index: u32) -> LinkResolvers {
            self.0.of(&link(index), Source::Dhcp)
        }

        fn servers(&self) -> Vec<String> {
            let text = fs::read_to_string(self.file()).unwrap_or_default();
            let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver "));
            servers.map(str::to_owned).collect()
        }
    }

    fn link(index: u32) -> Link {
        Link { name: format!("port{index}"), index, mac: [2; 6] }
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }
}
