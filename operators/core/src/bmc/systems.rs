//! The systems of a BMC: which of them become Servers, and why others do not.

use super::{
    Answers, Change, Decision, FoundSystem, Observation,
    servers::{create, is_at, name, refers_to, update},
    status::set,
};
use crate::identity::{has_uuid, is_same_uri};
use metal_api::{BmcStatus, Server, SystemUuid, condition};
use std::sync::Arc;

/// No more servers are made for one BMC: twice as many as the systems that one reading may have.
const MOST_SERVERS: usize = 128;

/// The next thing to do about the systems, if anything. Records those that cannot become a Server.
pub(super) fn systems(
    new: &mut BmcStatus,
    seen: &Observation<'_>,
    said: &Answers,
) -> Option<Decision> {
    let mut sorting = Sorting::new(seen, said);
    let hosts = sorting.hosts();
    for index in 0..hosts.len() {
        sorting.sort(&hosts, index);
    }
    let Sorting { made, changed, trouble, .. } = sorting;
    tell(new, seen, said, trouble);
    if made.is_empty() { changed } else { Some(Decision::Change(Change::Create(made))) }
}

/// Records which systems cannot become a Server, and why.
fn tell(new: &mut BmcStatus, seen: &Observation<'_>, said: &Answers, mut trouble: Vec<String>) {
    if said.systems.is_empty() {
        trouble.push("the BMC has no systems, so no Server is created".to_owned());
        let message = bounded(&trouble);
        set(new, seen, condition::SYSTEMS_KNOWN, Err(("NoSystems", &message)));
    } else if !trouble.is_empty() {
        let message = bounded(&trouble);
        set(new, seen, condition::SYSTEMS_KNOWN, Err(("SystemsLeftOut", &message)));
    } else if new.conditions.iter().any(|c| c.type_ == condition::SYSTEMS_KNOWN) {
        set(new, seen, condition::SYSTEMS_KNOWN, Ok("AllKnown"));
    }
}

/// What becomes of each system.
struct Sorting<'a> {
    seen: &'a Observation<'a>,
    said: &'a Answers,
    /// The servers to create.
    made: Vec<Server>,
    /// The first update of a server.
    changed: Option<Decision>,
    /// Why others are left out.
    trouble: Vec<String>,
}

impl<'a> Sorting<'a> {
    fn new(seen: &'a Observation<'a>, said: &'a Answers) -> Self {
        Self { seen, said, made: vec![], changed: None, trouble: said.remarks.clone() }
    }

    /// The systems that can be reset, or have a server already. All others are baseboards, or run
    /// on a host.
    fn hosts(&mut self) -> Vec<FoundSystem> {
        let (mut hosts, servers) = (self.said.systems.clone(), self.seen.servers);
        hosts.retain(|system| {
            let is_known = servers.iter().any(|server| is_at(server, &system.uri));
            if system.lacks_reset && !is_known {
                let uri = &system.uri;
                self.trouble.push(format!("{uri} does not support reset, so it is not a host"));
                return false;
            }
            true
        });
        hosts
    }

    /// Decides about one of them.
    fn sort(&mut self, hosts: &[FoundSystem], index: usize) {
        let (before, rest) = hosts.split_at(index);
        let system = &hosts[index];
        // A collection may list a system twice.
        if before.iter().any(|other| is_same_uri(&other.uri, &system.uri)) {
            return;
        }
        let Some(uuid) = system.uuid else {
            self.trouble.push(format!(
                "{} has no UUID, or a default one that is not unique: set it in the BIOS",
                system.uri
            ));
            return;
        };
        let holders: Vec<_> = self.seen.same_uuid.iter().filter(|s| has_uuid(s, uuid)).collect();
        let ours = holders.iter().find(|server| refers_to(server, self.seen.bmc)).copied();
        let shares = |other: &&FoundSystem| other.uuid.is_some_and(|other| other.is_same(uuid));
        if before.iter().any(|other| shares(&other)) {
            return;
        }
        let sharing: Vec<_> = rest.iter().filter(shares).map(|other| other.uri.as_str()).collect();
        if sharing.iter().any(|uri| !is_same_uri(uri, &system.uri)) {
            self.trouble.push(one_uuid(uuid, &sharing, &holders));
            return;
        }
        match (ours, holders.as_slice()) {
            (None, []) => self.meet(system, uuid),
            (Some(server), [_]) => {
                self.changed = self.changed.take().or_else(|| update(self.seen, server, system));
            }
            (_, all) => self.trouble.push(foreign(uuid, system, all)),
        }
    }

    /// Decides about a system whose UUID no server has.
    fn meet(&mut self, system: &FoundSystem, uuid: SystemUuid) {
        match newcomer(self.seen, self.said, system, uuid) {
            UnknownSystem::Welcome => {
                let ours = self.seen.servers.iter().filter(|it| refers_to(it, self.seen.bmc));
                let all = ours.count() + self.made.len();
                if all < MOST_SERVERS {
                    self.made.push(create(self.seen, system, uuid, &self.made));
                } else {
                    self.trouble.push(too_many(system, all));
                }
            }
            UnknownSystem::Waits => {}
            UnknownSystem::Unclear(why) => self.trouble.push(why),
        }
    }
}

/// What a system is whose UUID no server has.
enum UnknownSystem {
    /// A new one.
    Welcome,
    /// That of a server whose previous system is now that of another server.
    Waits,
    /// It may belong to a machine that already has a server; a second server would let that machine
    /// be claimed twice.
    Unclear(String),
}

fn newcomer(
    seen: &Observation<'_>,
    said: &Answers,
    system: &FoundSystem,
    uuid: SystemUuid,
) -> UnknownSystem {
    let was_there =
        |server: &&Arc<Server>| refers_to(server, seen.bmc) && is_at(server, &system.uri);
    if let Some(server) = seen.servers.iter().find(was_there) {
        let has = |other: &FoundSystem| other.uuid.is_some_and(|it| has_uuid(server, it));
        if said.systems.iter().any(has) {
            return UnknownSystem::Waits;
        }
        return UnknownSystem::Unclear(changed(server, system, uuid));
    }
    if seen.unreadable.is_empty() {
        return UnknownSystem::Welcome;
    }
    UnknownSystem::Unclear(format!(
        "{} may belong to server {}, which could not be parsed: correct that object",
        system.uri,
        seen.unreadable.join(", "),
    ))
}

/// Describes a system of a BMC that reports others, or the same with other UUIDs, again and again.
fn too_many(system: &FoundSystem, servers: usize) -> String {
    format!(
        "{} is new, but this BMC has {servers} Servers: delete those whose system it no longer has, \
         and check why its systems change",
        system.uri,
    )
}

/// Describes a system whose server has another UUID.
fn changed(server: &Arc<Server>, system: &FoundSystem, uuid: SystemUuid) -> String {
    let (name, uri) = (name(server), &system.uri);
    let was = server.spec.effective_uuid();
    let was = was.map_or_else(|| "none".to_owned(), |was| format!("UUID {was}"));
    format!(
        "{uri} has UUID {uuid}, but server {name} has {was}: nothing is done to the system; if it \
         is the same machine, set spec.systemUUID of server {name} to {uuid}; if the machine was \
         replaced, delete the claim of server {name}, then the server",
    )
}

/// Describes several systems of one BMC with the same UUID, which can be told apart neither here
/// nor when they boot. An existing server is kept, and no other is made.
fn one_uuid(uuid: SystemUuid, systems: &[&str], holders: &[&Arc<Server>]) -> String {
    let of = |server: &&Arc<Server>| {
        let uri = server.spec.system_uri.as_deref().unwrap_or("one of them");
        format!("server {} remains assigned to {uri}", name(server))
    };
    let kept: Vec<_> = holders.iter().map(of).collect();
    let kept =
        if kept.is_empty() { "no Server is created for them".to_owned() } else { kept.join(", ") };
    format!(
        "{} of this BMC have the same UUID {uuid}: set a unique UUID for each in the BIOS; until \
         then {kept}",
        systems.join(" and "),
    )
}

/// Describes a system whose UUID other servers have.
fn foreign(uuid: SystemUuid, system: &FoundSystem, holders: &[&Arc<Server>]) -> String {
    let of = |server: &&Arc<Server>| {
        let bmc = server.spec.bmc_ref.as_ref().map_or("no BMC object", |bmc| bmc.name.as_str());
        format!("server {} of {bmc}", name(server))
    };
    let holders: Vec<_> = holders.iter().map(of).collect();
    format!(
        "UUID {uuid} of {} is also used by {}: if these are different machines, set a unique UUID \
         for each in the BIOS; if it is the same machine, correct spec.bmcRef of its server",
        system.uri,
        holders.join(", "),
    )
}

/// All of them in one text, within the length limit of a condition.
fn bounded(trouble: &[String]) -> String {
    let mut message = trouble.join("; ");
    message.truncate(message.floor_char_boundary(1024));
    message
}
