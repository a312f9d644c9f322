//! Our configuration, as it is collected from the plugins.

use super::{
    given::TargetPaths,
    main_file::{Family, Main},
    note::{Error, Note},
    quote::quote,
    step::Step,
};
use ipnet::IpNet;
use metal_api::MacAddr;
use metal_dhcp::config::{Config, ConfigError};
use std::{collections::BTreeMap, net::IpAddr};

/// Settings for both IP versions.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) v4: FamilySettings,
    pub(super) v6: FamilySettings,
    /// MAC address prefixes and URLs.
    pub(super) ztp: Vec<(String, String)>,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
    pub(super) name_prefix: Option<String>,
    pub(super) duid: Option<String>,
    pub(super) notes: Vec<Note>,
}

/// Settings for one IP version.
#[derive(Debug, Default)]
pub(super) struct FamilySettings {
    /// Whether FeDHCP serves it.
    pub(super) is_served: bool,
    pub(super) interfaces: Vec<String>,
    pub(super) listen: Vec<String>,
    pub(super) server: Option<IpAddr>,
    pub(super) subnets: Vec<Subnet>,
    pub(super) prefix_len: Option<u8>,
    /// Pools, each with a note that gives its place in the files.
    pub(super) pools: Vec<(IpAddr, IpAddr, Note)>,
    pub(super) routers: Vec<(IpAddr, Note)>,
    pub(super) dns: Vec<IpAddr>,
    pub(super) ntp: Vec<IpAddr>,
    pub(super) domains: Vec<String>,
    pub(super) mtu: Option<String>,
    pub(super) routes: Vec<(String, String)>,
    pub(super) lease_time: Option<String>,
    pub(super) reservations: Vec<(MacAddr, IpAddr, Note)>,
    /// Whether a plugin records BMCs.
    pub(super) bmc: bool,
    /// Whether a plugin assigns addresses.
    pub(super) leases: bool,
    /// URLs or files, by field name.
    pub(super) boot: BTreeMap<&'static str, String>,
}

/// A subnet of ours.
#[derive(Debug)]
pub(super) struct Subnet {
    pub(super) net: IpNet,
    pub(super) pools: Vec<(IpAddr, IpAddr)>,
    pub(super) router: Option<IpAddr>,
    pub(super) reservations: Vec<(MacAddr, IpAddr)>,
}

impl Subnet {
    fn new(net: IpNet) -> Self {
        Self { net, pools: Vec::new(), router: None, reservations: Vec::new() }
    }
}

impl Draft {
    pub(super) fn new(places: &TargetPaths) -> Self {
        let mut draft = Self::default();
        for given in &places.subnets {
            let mut subnet = Subnet::new(given.net);
            subnet.pools.extend(given.range);
            draft.side(family_of(given.net.addr())).subnets.push(subnet);
        }
        for side in [&mut draft.v4, &mut draft.v6] {
            side.interfaces.clone_from(&places.interfaces);
        }
        draft
    }

    pub(super) fn side(&mut self, family: Family) -> &mut FamilySettings {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    /// Adds the addresses where FeDHCP listens. Its multicast groups are always joined.
    pub(super) fn listen(&mut self, main: &Main, family: Family) {
        let side = self.side(family);
        side.is_served = true;
        for listen in main.listen(family) {
            match (&listen.interface, listen.address) {
                (Some(interface), _) if !side.interfaces.contains(interface) => {
                    side.interfaces.push(interface.clone());
                }
                (None, Some(ip)) if !ip.is_unspecified() && !ip.is_multicast() => {
                    side.listen.push(ip.to_string());
                }
                _ => {}
            }
        }
    }

    /// Adds a boot file, if our configuration can express it. The first one counts.
    pub(super) fn boot(
        &mut self,
        step: &Step<'_>,
        place: (&str, u64),
        field: &'static str,
        url: &str,
    ) {
        let (snippet, path) = match step.family {
            Family::V4 => (format!("boot: {{ {field}: {} }}\n", quote(url)), "boot"),
            Family::V6 => {
                let boot = format!("boot: {{ {field}: {} }}", quote(url));
                (format!("dhcp6: {{ interfaces: [a], subnets: [], {boot} }}\n"), "dhcp6.boot")
            }
        };
        let known = self.side(step.family).boot.get(field);
        let is_other = known.is_some_and(|known| known != url);
        let problem = if is_other {
            Some(format!("`{url}` is a second URL for the same clients"))
        } else {
            refusal(&snippet)
        };
        match problem {
            None => drop(self.side(step.family).boot.insert(field, url.to_owned())),
            Some(why) => {
                let fix = format!("set {path}.{field} by hand");
                self.notes.push(step.note_in(place.0, place.1, why, fix));
            }
        }
    }

    /// Completes the draft.
    pub(super) fn settle(&mut self, main: &Main) -> Result<(), Error> {
        for family in [Family::V4, Family::V6] {
            let side = self.side(family);
            if side.is_served {
                let notes = side.settle(family, main)?;
                self.notes.extend(notes);
            }
        }
        Ok(())
    }
}

impl FamilySettings {
    fn settle(&mut self, family: Family, main: &Main) -> Result<Vec<Note>, Error> {
        let mut notes = Vec::new();
        notes.extend(self.settle_places(family, main)?);
        for (first, last, note) in std::mem::take(&mut self.pools) {
            let len = self.prefix_len.or((family == Family::V6).then_some(64));
            if self.holder(first).is_none()
                && let Some(net) = len.and_then(|len| IpNet::new(first, len).ok())
            {
                self.subnets.push(Subnet::new(net.trunc()));
            }
            match self.holder(first).filter(|subnet| subnet.net.contains(&last)) {
                Some(subnet) => subnet.pools.push((first, last)),
                None => notes.push(note),
            }
        }
        for (router, note) in std::mem::take(&mut self.routers) {
            match self.holder(router).filter(|subnet| subnet.router.is_none()) {
                Some(subnet) => subnet.router = Some(router),
                None => notes.push(note),
            }
        }
        for (mac, ip, note) in std::mem::take(&mut self.reservations) {
            let is_new = |subnet: &&mut Subnet| {
                subnet.reservations.iter().all(|(other, at)| *other != mac && *at != ip)
            };
            match self.holder(ip).filter(is_new) {
                Some(subnet) => subnet.reservations.push((mac, ip)),
                None => notes.push(note),
            }
        }
        notes.extend(self.settings_without_subnet(family, main));
        Ok(notes)
    }

    /// FeDHCP serves every link by default; our configuration has to name them.
    fn settle_places(&mut self, family: Family, main: &Main) -> Result<Option<Note>, Error> {
        if !self.interfaces.is_empty() || !self.listen.is_empty() {
            return Ok(None);
        }
        let field = format!("{}.listen", family.section());
        match (family, self.server) {
            (Family::V4, Some(own)) => self.listen.push(own.to_string()),
            (Family::V6, _) => self.listen.push("::".to_owned()),
            (Family::V4, None) => {
                let problem = "no interface or address is listed, so FeDHCP serves all of them; \
                               use --interface NAME";
                let file = main.name().to_owned();
                return Err(Error::Field { file, line: 0, field, problem: problem.to_owned() });
            }
        }
        Ok(Some(Note {
            file: main.name().to_owned(),
            line: 0,
            plugin: field,
            why: "lists no interface, so only relays are answered".to_owned(),
            fix: "use --interface NAME for each interface with clients".to_owned(),
        }))
    }

    fn holder(&mut self, ip: IpAddr) -> Option<&mut Subnet> {
        self.subnets.iter_mut().find(|subnet| subnet.net.contains(&ip))
    }

    /// A note if there are settings that belong to subnets here, but no subnet.
    fn settings_without_subnet(&self, family: Family, main: &Main) -> Option<Note> {
        let lost: Vec<_> = [
            ("dns", !self.dns.is_empty()),
            ("ntp", !self.ntp.is_empty()),
            ("searchdomains", !self.domains.is_empty()),
            ("mtu", self.mtu.is_some()),
            ("staticroute", !self.routes.is_empty()),
            ("lease_time", self.lease_time.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_lost)| is_lost.then_some(name))
        .collect();
        (self.subnets.is_empty() && (self.leases || !lost.is_empty())).then(|| Note {
            file: main.name().to_owned(),
            line: 0,
            plugin: family.section().to_owned(),
            why: match &lost[..] {
                [] => "it does not contain the prefixes of its subnets".to_owned(),
                lost => {
                    format!("{} belong to a subnet, but its prefix is unknown", lost.join(", "))
                }
            },
            fix: "use --subnet PREFIX=FIRST-LAST for each of them".to_owned(),
        })
    }
}

pub(super) fn family_of(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// Why our configuration cannot have these lines.
pub(super) fn refusal(lines: &str) -> Option<String> {
    refusal_of(&format!("interfaces: [a]\nsubnets: []\ntftp: {{ root: /a }}\n{lines}"))
}

/// Why a subnet of ours cannot have a field.
pub(super) fn refusal_in_subnet(field: &str) -> Option<String> {
    refusal_of(&format!("interfaces: [a]\nsubnets: [{{ subnet: 10.0.0.0/8, {field} }}]\n"))
}

fn refusal_of(text: &str) -> Option<String> {
    match Config::parse(text) {
        Ok(_) => None,
        Err(ConfigError::Field { problem, .. } | ConfigError::Yaml(problem)) => Some(problem),
    }
}
