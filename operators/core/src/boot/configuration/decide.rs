//! The decision.

use super::{
    BootConfigs, Change, Decision, Ignition, Image, Modes, Observation, PxeUrls, Uki, Unavailable,
    child::{self, manifest},
    method::{Leftover, MethodState, NAME_TAKEN},
    status::{Draft, Mode, retry},
};
use crate::boot::{
    decision::Method,
    url::{self, MAX_URL},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{BootState, Server, ServerBootConfiguration, ServerState, condition};

/// How often to look again if nothing changes.
const RESYNC: SignedDuration = SignedDuration::from_hours(1);
/// How long to wait for an object that is about to be deleted by somebody else, in case no watch
/// reports it.
const LEAVING: SignedDuration = SignedDuration::from_secs(30);

/// Reason: there is no server, or it has no UUID.
const SERVER_NOT_FOUND: &str = "ServerNotFound";
/// Reason: the URL is too long for DHCP.
const LINK_TOO_LONG: &str = "LinkTooLong";

/// What to write before anything is looked at: a boot configuration that has changed since it was
/// `Ready` no longer is, and looking may take a while.
pub fn outdated(
    configuration: &ServerBootConfiguration,
    modes: Modes,
    now: Timestamp,
) -> Option<Decision> {
    let status = configuration.status.as_ref()?;
    let is_old = status.observed_generation != configuration.metadata.generation;
    if !is_old || status.state != Some(BootState::Ready) || status.observed_generation.is_none() {
        return None;
    }
    let mut draft = Draft::new(configuration, modes, now);
    draft.state(BootState::Pending);
    draft.news(modes).map(|status| Decision::Record(Box::new(status)))
}

/// Whether the image has to be inspected: not if that was done for this generation and the result
/// is in place. `bases` are the URLs that the boot configs have to begin with.
///
/// A Secret that is missing for a while, or a server, is no reason to do it again: the tag may stand
/// for another image by then.
pub fn needs_image(
    configuration: &ServerBootConfiguration,
    there: BootConfigs<'_>,
    modes: Modes,
    bases: (&str, &str),
) -> bool {
    let Some(status) = &configuration.status else { return true };
    let is_current = status.observed_generation == configuration.metadata.generation;
    if !is_current || !(status.state == Some(BootState::Ready) || is_inspected(configuration)) {
        return true;
    }
    let kernel = there.ipxe.map(|config| config.spec.kernel_url.as_str());
    let uki = there.http.and_then(|config| config.spec.uki_url.as_deref());
    let settled = |type_: &str, url: Option<&str>, base: &str| {
        let condition = status.conditions.iter().find(|condition| condition.type_ == type_);
        condition.is_some_and(|condition| match condition.reason.as_str() {
            // A name that was taken may be free now, and a base URL shorter.
            NAME_TAKEN | LINK_TOO_LONG => false,
            reason if reason != SERVER_NOT_FOUND && condition.status != "True" => true,
            _ => url.is_some_and(|url| url::is_below(url, base)),
        })
    };
    let is_settled = (!modes.pxe || settled(condition::IPXE_BOOT_READY, kernel, bases.0))
        && (!modes.http || settled(condition::HTTP_BOOT_READY, uki, bases.1));
    !is_settled
}

/// What the status says of this generation.
fn condition_of<'a>(
    configuration: &'a ServerBootConfiguration,
    type_: &str,
) -> Option<&'a Condition> {
    let mut conditions = configuration.status.iter().flat_map(|status| &status.conditions);
    let generation = configuration.metadata.generation;
    conditions.find(|it| it.type_ == type_ && it.observed_generation == generation)
}

/// Whether the image of this generation was found to be valid.
fn is_inspected(configuration: &ServerBootConfiguration) -> bool {
    let said = condition_of(configuration, condition::IMAGE_VALIDATION);
    said.is_some_and(|it| it.status == "True")
}

/// Whether the image of this generation is valid, but does not offer this way of booting.
fn lacks(configuration: &ServerBootConfiguration, type_: &str) -> bool {
    let others = [SERVER_NOT_FOUND, NAME_TAKEN, LINK_TOO_LONG];
    let said = condition_of(configuration, type_).filter(|it| it.status == "False");
    is_inspected(configuration) && said.is_some_and(|it| !others.contains(&it.reason.as_str()))
}

/// Decides what to do about a boot configuration.
pub fn decide(seen: &Observation<'_>, modes: Modes) -> Decision {
    let configuration = seen.configuration;
    if configuration.metadata.deletion_timestamp.is_some() {
        return Decision::Rest(RESYNC);
    }
    let Some(server) = seen.server.filter(|server| server.spec.effective_uuid().is_some()) else {
        return waits_for_server(seen, modes);
    };
    let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
    let is_ready = state == Some(&BootState::Ready);
    if seen.image == Image::Settled && is_ready && is_idle(server) {
        return Decision::Rest(RESYNC);
    }
    let (pxe, uki) = match &seen.image {
        Image::Failed(why) => return failed(seen, modes, why),
        Image::Settled => settled(seen),
        Image::Offers { pxe, uki } => (pxe.clone(), uki.clone()),
    };
    let uki = uki.map(|uki| match seen.uki_token {
        Some(token) => Uki { url: url::with_token(&uki.url, token), ..uki },
        None => uki,
    });
    let uki = uki.and_then(|uki| carried(uki, server, configuration));
    let pxe = MethodState::new(modes.pxe, pxe, seen.there.ipxe.map(|it| &it.metadata), seen);
    let http = MethodState::new(modes.http, uki, seen.there.http.map(|it| &it.metadata), seen);
    match step(seen, server, &pxe, &http) {
        Some(Step::Write(change)) => Decision::Change(change),
        Some(Step::Wait) => waits_for_names(seen, modes, &pxe, &http),
        None => finish(seen, modes, &pxe, &http),
    }
}

/// The URL, if firmware can be told it by DHCP. For a medium that does not matter.
fn carried(
    uki: Uki,
    server: &Server,
    configuration: &ServerBootConfiguration,
) -> Result<Uki, Unavailable> {
    let is_medium = Method::of(Some(server), configuration) == Ok(Some(Method::VirtualMedia));
    if uki.url.len() <= MAX_URL || is_medium {
        return Ok(uki);
    }
    let message = format!(
        "the URL of the UKI has {} bytes, but a DHCP option can hold only {MAX_URL}: shorten \
         --image-server-url or the repository name",
        uki.url.len()
    );
    Err(Unavailable { reason: LINK_TOO_LONG, message })
}

/// Whether the server has nothing to boot. The report that makes it available also changes its
/// addresses, but its boot configuration is about to be deleted, so updating it is not worth a
/// write.
pub fn is_idle(server: &Server) -> bool {
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    state == Some(&ServerState::Available)
}

/// What comes before the boot configs are in place.
enum Step {
    Write(Change),
    /// Somebody else's object goes first.
    Wait,
}

/// The next step, if any is left.
fn step(
    seen: &Observation<'_>,
    server: &Server,
    pxe: &MethodState<PxeUrls>,
    http: &MethodState<Uki>,
) -> Option<Step> {
    let configuration = seen.configuration;
    match pxe {
        MethodState::Offered(urls) => {
            if let Some(config) = child::ipxe(configuration, server, urls, seen.there.ipxe) {
                return Some(Step::Write(Change::ApplyIpxe(Box::new(config))));
            }
        }
        MethodState::Unavailable(_, Leftover::Yes) => {
            return Some(Step::Write(Change::DeleteIpxe));
        }
        MethodState::Blocked(_) => return Some(Step::Wait),
        MethodState::Ignored | MethodState::Unavailable(_, Leftover::No) => {}
    }
    match http {
        MethodState::Offered(uki) => {
            if let Some(config) = child::http(configuration, server, uki, seen.there.http) {
                return Some(Step::Write(Change::ApplyHttp(Box::new(config))));
            }
        }
        MethodState::Unavailable(_, Leftover::Yes) => {
            return Some(Step::Write(Change::DeleteHttp));
        }
        MethodState::Blocked(_) => return Some(Step::Wait),
        MethodState::Ignored | MethodState::Unavailable(_, Leftover::No) => {}
    }
    None
}

/// Records that the boot configs are in place, as far as they can be.
fn finish(
    seen: &Observation<'_>,
    modes: Modes,
    pxe: &MethodState<PxeUrls>,
    http: &MethodState<Uki>,
) -> Decision {
    let mut draft = Draft::new(seen.configuration, modes, seen.now);
    let nothing = match (pxe.unavailable(), http.unavailable(), pxe, http) {
        (Some(pxe), Some(http), _, _) if pxe == http => Some(pxe.clone()),
        (Some(pxe), Some(http), _, _) => Some(Unavailable {
            reason: pxe.reason,
            message: format!(
                "neither PXE nor HTTP boot is possible: {}; {}",
                pxe.message, http.message
            ),
        }),
        (Some(why), None, _, MethodState::Ignored) | (None, Some(why), MethodState::Ignored, _) => {
            Some(why.clone())
        }
        _ => None,
    };
    draft.image(nothing.as_ref());
    draft.ignition(&seen.ignition);
    draft.modes(&pxe.said(), &http.said());
    draft.fetched(seen);
    let is_ready = nothing.is_none() && !matches!(seen.ignition, Ignition::Unusable(_));
    draft.state(if is_ready { BootState::Ready } else { BootState::Error });
    let rest = if is_ready { RESYNC } else { again(seen) };
    record(draft, modes, rest)
}

/// What the image offers, from the boot configs that exist.
fn settled(seen: &Observation<'_>) -> (Result<PxeUrls, Unavailable>, Result<Uki, Unavailable>) {
    let conditions = seen.configuration.status.iter().flat_map(|status| &status.conditions);
    let unavailable = |type_: &str| {
        let said = conditions.clone().find(|condition| condition.type_ == type_);
        Unavailable {
            // From an earlier pass, in one of our words, which is not needed again.
            reason: said.map_or("LayerMissing", |said| known_reason(&said.reason)),
            message: said.map(|said| said.message.clone()).unwrap_or_default(),
        }
    };
    let pxe = seen.there.ipxe.map(|config| PxeUrls {
        kernel: config.spec.kernel_url.clone(),
        initrd: config.spec.initrd_url.clone(),
        squashfs: config.spec.squashfs_url.clone(),
    });
    let uki = seen.there.http.and_then(|config| {
        Some(Uki { url: config.spec.uki_url.clone()?, manifest: manifest(config).cloned() })
    });
    (
        pxe.ok_or_else(|| unavailable(condition::IPXE_BOOT_READY)),
        uki.ok_or_else(|| unavailable(condition::HTTP_BOOT_READY)),
    )
}

fn known_reason(reason: &str) -> &'static str {
    const KNOWN: [&str; 5] =
        ["ArchitectureMissing", "LayerMissing", "MalformedManifest", NAME_TAKEN, LINK_TOO_LONG];
    KNOWN.into_iter().find(|known| *known == reason).unwrap_or("LayerMissing")
}

fn failed(seen: &Observation<'_>, modes: Modes, why: &Unavailable) -> Decision {
    let mut draft = Draft::new(seen.configuration, modes, seen.now);
    draft.image(Some(why));
    draft.ignition(&seen.ignition);
    draft.state(BootState::Error);
    record(draft, modes, again(seen))
}

fn waits_for_server(seen: &Observation<'_>, modes: Modes) -> Decision {
    let name = &seen.configuration.spec.server_ref.name;
    let message = match seen.server {
        None => format!(
            "spec.serverRef: Server {name:?} not found, or not to be parsed: create it, or correct \
             it"
        ),
        Some(_) => {
            format!("Server {name} has no unique spec.systemUUID: set it")
        }
    };
    let why = Unavailable { reason: SERVER_NOT_FOUND, message };
    let mut draft = Draft::new(seen.configuration, modes, seen.now);
    // What the image lacks, it lacks without a server, too; nobody has to look at it again for that.
    let said = |wanted, type_| {
        let is_told = wanted && !lacks(seen.configuration, type_);
        if is_told { Mode::Unavailable(&why) } else { Mode::Ignored }
    };
    let pxe = said(modes.pxe, condition::IPXE_BOOT_READY);
    draft.modes(&pxe, &said(modes.http, condition::HTTP_BOOT_READY));
    draft.state(BootState::Pending);
    record(draft, modes, RESYNC)
}

/// Waits until objects of an earlier boot configuration are gone. If that takes long, their condition
/// says so. What has been `Ready` since is not withdrawn.
fn waits_for_names(
    seen: &Observation<'_>,
    modes: Modes,
    pxe: &MethodState<PxeUrls>,
    http: &MethodState<Uki>,
) -> Decision {
    let state = seen.configuration.status.as_ref().and_then(|status| status.state.as_ref());
    let is_told = pxe.delay().is_some() || http.delay().is_some();
    if state == Some(&BootState::Ready) || !is_told {
        return Decision::Rest(LEAVING);
    }
    let mut draft = Draft::new(seen.configuration, modes, seen.now);
    let [pxe, http] =
        [pxe.delay(), http.delay()].map(|why| why.map_or(Mode::Ignored, Mode::Unavailable));
    draft.modes(&pxe, &http);
    draft.state(BootState::Pending);
    record(draft, modes, LEAVING)
}

fn record(draft: Draft<'_>, modes: Modes, rest: SignedDuration) -> Decision {
    match draft.news(modes) {
        Some(status) => Decision::Record(Box::new(status)),
        None => Decision::Rest(rest),
    }
}

fn again(seen: &Observation<'_>) -> SignedDuration {
    retry(seen.configuration.status.as_ref(), seen.now)
}
