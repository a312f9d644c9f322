//! The Servers of a BMC: what they are made with, and how they are kept up to date.

use super::{Change, Decision, FoundSystem, Observation, credential_notes::digest};
use crate::{
    identity::is_same_uri,
    ownership::{self, is_made_by},
};
use metal_api::{
    Bmc, LocalObjectReference, ObjectReference, Server, ServerSpec, SystemUuid, Taint, TaintEffect,
    annotation, finalizer,
};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// Value of [`metal_api::annotation::MANAGED_BY`] on what is made from an Endpoint.
pub(super) const MAKER: &str = "metal-operator";
/// What stands between the name of a BMC and the index of its server.
const OF_SYSTEM: &str = "-system-";
/// Longest name of a BMC, in bytes, that leaves room for that, three digits, and the `-ssh` of a Secret
/// of its server, in a name of 253 bytes (RFC 1123).
const LONGEST: usize = 253 - OF_SYSTEM.len() - 3 - 4;

/// Corrects the owners of a server that refers to this BMC but belongs to another one, or to this
/// one with an earlier UID, or that has no owner and a name which the BMC would give.
pub(super) fn own(seen: &Observation<'_>) -> Option<Decision> {
    let bmc = name_of_bmc(seen.bmc);
    let is_named = |server: &Server| {
        // Until names were shortened, the name of the BMC was used as it is.
        stem_of(name(server)).is_some_and(|it| it == bmc || it == stem(&bmc))
    };
    let live = |server: &&Arc<Server>| {
        server.metadata.deletion_timestamp.is_none() && refers_to(server, seen.bmc)
    };
    seen.servers.iter().filter(live).find_map(|server| {
        let owners = ownership::repaired(&server.metadata, seen.bmc);
        let owners = owners.or_else(|| {
            is_named(server).then(|| ownership::adopted(&server.metadata, seen.bmc)).flatten()
        })?;
        Some(Decision::Change(Change::Own { server: Arc::clone(server), owners }))
    })
}

/// The name of a server of a BMC; the first index whose name is not taken is used. That of a BMC
/// whose name leaves no room for it begins with the part that fits.
pub fn server_name(bmc: &str, index: usize) -> String {
    format!("{}{OF_SYSTEM}{index}", stem(bmc))
}

/// What the name of a server of a BMC begins with: see [`stem`]. `None` for a name that no BMC gives.
pub fn stem_of(server: &str) -> Option<&str> {
    let (stem, number) = server.rsplit_once(OF_SYSTEM)?;
    number.parse::<u32>().is_ok().then_some(stem)
}

/// What the names of a BMC's servers begin with: its own name, or as much of it as has room, and a
/// digest of all of it.
pub fn stem(bmc: &str) -> Cow<'_, str> {
    if bmc.len() <= LONGEST {
        return Cow::Borrowed(bmc);
    }
    let digest = digest(bmc);
    let part = &bmc[..bmc.floor_char_boundary(LONGEST - 1 - digest.len())];
    // A label ends with a letter or a digit.
    let part = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    Cow::Owned(format!("{part}-{digest}"))
}

/// Creates the server of a new system. It includes the finalizer and the reference to its
/// discovery's boot configuration, which would otherwise take a write each.
pub(super) fn create(
    seen: &Observation<'_>,
    system: &FoundSystem,
    uuid: SystemUuid,
    made: &[Server],
) -> Server {
    let bmc = name_of_bmc(seen.bmc);
    let others = || seen.servers.iter().map(Arc::as_ref).chain(made);
    let unreadable = |name: &str| seen.unreadable.iter().any(|other| other == name);
    let taken = |wanted: &str| unreadable(wanted) || others().any(|it| name(it) == wanted);
    // Among one name more than there are servers, one is free.
    let count = others().count() + seen.unreadable.len();
    let mut names = (0..=count).map(|index| server_name(&bmc, index));
    let name = names.find(|name| !taken(name)).unwrap_or_default();
    let spec = ServerSpec {
        system_uuid: Some(uuid.to_string()),
        system_uri: Some(system.uri.clone()),
        bmc_ref: Some(LocalObjectReference { name: bmc }),
        boot_configuration_ref: Some(ObjectReference {
            namespace: seen.namespace.to_owned(),
            name: name.clone(),
        }),
        taints: held(seen).into_iter().collect(),
        ..ServerSpec::default()
    };
    let mut server = Server::new(&name, spec);
    let labels = seen.bmc.metadata.labels.clone().unwrap_or_default();
    let labels: BTreeMap<_, _> =
        labels.into_iter().filter(|(key, _)| is_handed_down(key)).collect();
    server.metadata.labels = (!labels.is_empty()).then_some(labels);
    server.metadata.finalizers = Some(vec![finalizer::SERVER.to_owned()]);
    server.metadata.owner_references = ownership::owned_by(seen.bmc);
    server
}

/// The taint that keeps claims away from a server whose BMC was recorded without proof.
fn held(seen: &Observation<'_>) -> Option<Taint> {
    (seen.holds_new && is_found(seen.bmc)).then(|| Taint {
        key: Taint::NOT_ADMITTED.to_owned(),
        value: None,
        effect: Some(TaintEffect::NoBind),
    })
}

/// Whether a BMC was recorded without proof, by one of our programs: because DHCP has seen its MAC
/// address.
pub(super) fn is_found(bmc: &Bmc) -> bool {
    [MAKER, ownership::NETBOOT].iter().any(|maker| is_made_by(bmc, maker))
}

/// Labels, by their beginning, by which Argo CD, Flux and Velero know the objects that they have applied or
/// restored.
const OF_TOOLS: [&str; 5] = [
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/",
    "helm.toolkit.fluxcd.io/",
    "kustomize.toolkit.fluxcd.io/",
    "velero.io/",
];

/// Whether a server inherits a label from its BMC. The label that says who made the BMC is not
/// about the server, and neither are those of a tool that has applied it: the server may be another's, which
/// would write its own again.
fn is_handed_down(key: &str) -> bool {
    key != annotation::MANAGED_BY && !OF_TOOLS.iter().any(|tool| key.starts_with(tool))
}

pub(super) fn update(
    seen: &Observation<'_>,
    server: &Arc<Server>,
    system: &FoundSystem,
) -> Option<Decision> {
    let has = server.metadata.labels.clone().unwrap_or_default();
    let wanted = seen.bmc.metadata.labels.iter().flatten();
    let labels: BTreeMap<_, _> = wanted
        .filter(|(key, value)| is_handed_down(key) && has.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let moved = !is_at(server, &system.uri);
    (moved || !labels.is_empty()).then(|| {
        Decision::Change(Change::Update {
            server: Arc::clone(server),
            system_uri: system.uri.clone(),
            labels,
        })
    })
}

pub(super) fn is_at(server: &Server, uri: &str) -> bool {
    server.spec.system_uri.as_deref().is_some_and(|own| is_same_uri(own, uri))
}

pub(super) fn refers_to(server: &Server, bmc: &Bmc) -> bool {
    let bmc = name_of_bmc(bmc);
    server.spec.bmc_ref.as_ref().is_some_and(|reference| reference.name == bmc)
}

pub(super) fn name(server: &Server) -> &str {
    server.metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn name_of_bmc(bmc: &Bmc) -> String {
    bmc.metadata.name.clone().unwrap_or_default()
}
