//! Boots from a medium in a virtual media slot of the BMC, and ejects it again.
//!
//! ```text
//!  drives read ─► recorded ─► inserted ─► read back ─► boot once from there ─► on
//!                                                       report, or half an hour: ejected ─► read back ─► forgotten
//! ```
//!
//! The condition `MediumInserted` says that there is a medium of ours, from before it is inserted
//! until it is seen to be gone; `status.medium` says which. The URL of the medium depends only on
//! the condition's time and the UID of the boot configuration, so a process that has just started
//! knows it, too.
//!
//! Clients that write whole objects drop the field and keep the condition. Then a host that has yet
//! to boot gets a new medium, and the medium to eject is recognized by its URL, which names the
//! server.

use super::{Decision, Need, Observation, power::switched_on, turn::Turn};
use crate::{
    capability::{self, Claims, Purpose},
    conditions::{self, Fact},
    redfish::{
        BootReading, BootSource, ImageUrl, MediaSlot, Step, SystemReading, Unreachable, allows,
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use metal_api::{Medium, Server, ServerBootConfiguration, ServerStatus, condition};

/// How old a reading of the slots may be on which something is done.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// How long the URL of a medium is valid.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// A host that is still off after this time gets a new one.
const RENEWAL: SignedDuration = SignedDuration::from_mins(20);
/// By then firmware has read all of it. The running system is not asked, as the host may belong to
/// somebody.
const BOOTED: SignedDuration = SignedDuration::from_mins(30);
/// How soon to retry slots that could not be read.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// A reading of the virtual media slots and its age.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaReading {
    /// When it was taken.
    pub at: Timestamp,
    /// What the BMC reported, or why it did not answer.
    pub result: Result<Vec<MediaSlot>, Unreachable>,
    /// Why no URL can be made for a medium, if none can.
    pub no_url: Option<String>,
}

/// What the URL of a server's medium certifies, as recorded in its status.
pub fn medium_of(server: &Server) -> Option<Claims> {
    let status = server.status.as_ref()?;
    let recorded = recorded(status)?;
    Some(Claims {
        purpose: Purpose::Medium,
        server: server.metadata.name.clone()?,
        boot: boot_of(status, recorded)?.to_owned(),
        expires: recorded.last_transition_time.0 + LIFETIME,
    })
}

/// The state of a medium.
pub(super) enum Prepared {
    /// It is inserted: boot from this source.
    Inserted(BootSource),
    /// Not inserted yet: this comes first.
    Do(Decision),
}

/// What has to be done to get a medium for this boot configuration into a slot that the host can
/// boot from.
pub(super) fn prepare(
    turn: &mut Turn<'_>,
    boot: &BootReading,
    configuration: &ServerBootConfiguration,
) -> Result<Prepared, String> {
    if !turn.settings.virtual_media {
        return Err("the host can only boot from virtual media: set --virtual-media-url".to_owned());
    }
    let Some(reading) = fresh(turn.seen) else {
        return Ok(Prepared::Do(Decision::Look(Need::Media)));
    };
    let slots = reading.result.as_ref().map_err(|why| {
        format!("could not read the virtual media slots of the BMC: {}", said(why))
    })?;
    let (slot, source) = choose(slots, &boot.allowable).ok_or_else(|| {
        let found = slots.len();
        format!("none of the {found} virtual media slots is bootable: use another boot method")
    })?;
    if let Some(why) = &reading.no_url {
        return Err(why.clone());
    }
    let uid = configuration.metadata.uid.as_deref().unwrap_or_default();
    let is_current = |it: &Condition| {
        boot_of(&turn.new, it) == Some(uid)
            && turn.seen.now.duration_since(it.last_transition_time.0) < RENEWAL
    };
    if !recorded(&turn.new).is_some_and(is_current) {
        note(&mut turn.new, configuration, turn.seen.now);
        return Ok(Prepared::Do(Decision::Rest(SignedDuration::ZERO)));
    }
    let Some(image) = turn.seen.medium else {
        return Ok(Prepared::Do(Decision::Look(Need::Media)));
    };
    let step = Step::InsertMedium { slot: slot.uri.clone(), image: image.clone() };
    let was_told = turn.seen.last_step.is_some_and(|last_step| last_step.step == step);
    let is_ours = |there| is_same(there, image) || (was_told && is_cut(there, image));
    let is_there = slot.inserted && slot.image.as_ref().map_or(was_told, is_ours);
    Ok(if is_there { Prepared::Inserted(source) } else { Prepared::Do(Decision::Act(step)) })
}

/// What has to be done to eject a recorded medium; `None` once it is seen to be gone, and the
/// record is removed. Its URL need not be known: the one that the BMC shows says whose it is.
pub(super) fn eject(turn: &mut Turn<'_>) -> Option<Decision> {
    recorded(&turn.new)?;
    let message = "the medium of the last boot is being ejected";
    let Some(reading) = fresh(turn.seen) else { return Some(Decision::Look(Need::Media)) };
    let Ok(slots) = &reading.result else {
        turn.waits("EjectingMedium", message);
        return Some(Decision::Rest(AGAIN));
    };
    if let Some(slot) = ours(slots, turn.seen) {
        turn.waits("EjectingMedium", message);
        return Some(Decision::Act(Step::EjectMedium { slot: slot.uri.clone() }));
    }
    forget(&mut turn.new);
    None
}

/// The slot with our medium: the one that shows its URL. If none does, the one that is told to take
/// media, if something is in it whose image the BMC does not show; but nothing that somebody's
/// console has put there.
fn ours<'a>(slots: &'a [MediaSlot], seen: &Observation<'_>) -> Option<&'a MediaSlot> {
    let is_recorded = |there| seen.medium.is_some_and(|it| is_same(there, it) || is_cut(there, it));
    let is_ours = |there| is_recorded(there) || is_for(there, seen.server);
    let mut inserted = slots.iter().filter(|slot| slot.inserted);
    if let Some(shown) = inserted.find(|slot| slot.image.as_ref().is_some_and(is_ours)) {
        return Some(shown);
    }
    let system = seen.system.and_then(|reading| reading.result.as_ref().ok());
    let allowable = system.map_or_else(Default::default, |system| system.boot.allowable.as_slice());
    let (told, _) = choose(slots, allowable).or_else(|| choose(slots, &[]))?;
    Some(told).filter(|slot| slot.inserted && slot.image.is_none() && !slot.is_applet)
}

/// Like [`eject`], for a host that is on: once it has certainly booted, counting from when the
/// medium was recorded, after which the host was powered on.
pub(super) fn eject_later(turn: &mut Turn<'_>, system: &SystemReading) -> Option<Decision> {
    let since = switched_on(recorded(&turn.new)?.last_transition_time.0, BOOTED, system, turn.seen);
    if turn.seen.now.duration_since(since) < BOOTED { None } else { eject(turn) }
}

/// A slot, whatever is in it, and the source that it is to the firmware: preferably a CD rather
/// than a stick. If a BMC tells CD drives on USB from others, the virtual one is on USB.
fn choose<'a>(
    slots: &'a [MediaSlot],
    allowable: &[BootSource],
) -> Option<(&'a MediaSlot, BootSource)> {
    let first = |source, is_of: fn(&MediaSlot) -> bool| {
        let slot = slots.iter().find(|slot| is_of(slot))?;
        allows(allowable, &source).then_some((slot, source))
    };
    let is_told_apart = allowable.contains(&BootSource::UsbCd);
    let cd = if is_told_apart { BootSource::UsbCd } else { BootSource::Cd };
    first(cd, |slot| slot.is_cd).or_else(|| first(BootSource::Usb, |slot| slot.is_usb))
}

/// The slots, unless they were read too long ago. The system may have been read since, however long
/// that took.
fn fresh<'a>(seen: &Observation<'a>) -> Option<&'a MediaReading> {
    let limit = FRESH + seen.system.map_or(SignedDuration::ZERO, |reading| reading.took);
    let is_fresh = |age: SignedDuration| !age.is_negative() && age <= limit;
    seen.media.filter(|it| is_fresh(seen.now.duration_since(it.at)))
}

fn recorded(status: &ServerStatus) -> Option<&Condition> {
    let is_ours = |it: &&Condition| it.type_ == condition::MEDIUM_INSERTED && it.status == "True";
    status.conditions.iter().find(is_ours)
}

/// UID of the boot configuration that the medium boots, unless a client has dropped it. Before the
/// field existed, it was the message of the condition.
fn boot_of<'a>(status: &'a ServerStatus, recorded: &'a Condition) -> Option<&'a str> {
    let medium = status.medium.as_ref().map(|medium| medium.boot_configuration_uid.as_str());
    medium.or_else(|| Some(recorded.message.as_str()).filter(|said| !said.contains(' ')))
}

/// Records that there is to be a medium for this boot configuration from now on.
fn note(new: &mut ServerStatus, configuration: &ServerBootConfiguration, now: Timestamp) {
    forget(new);
    let namespace = configuration.namespace().unwrap_or_default();
    let message = format!("for boot configuration {namespace}/{}", configuration.name_any());
    let type_ = condition::MEDIUM_INSERTED;
    let fact = Fact { type_, holds: true, reason: "VirtualMedia", message: &message };
    conditions::set(&mut new.conditions, fact, new.observed_generation, now);
    let boot_configuration_uid = configuration.metadata.uid.clone().unwrap_or_default();
    new.medium = Some(Medium { boot_configuration_uid });
}

fn forget(new: &mut ServerStatus) {
    new.conditions.retain(|condition| condition.type_ != condition::MEDIUM_INSERTED);
    new.medium = None;
}

/// Whether an image is a medium for this server, made at any time.
fn is_for(there: &ImageUrl, server: &Server) -> bool {
    let token = there.file().strip_suffix(".iso").and_then(capability::unverified);
    token.is_some_and(|claims| {
        claims.purpose == Purpose::Medium && Some(&claims.server) == server.metadata.name.as_ref()
    })
}

fn is_same(there: &ImageUrl, image: &ImageUrl) -> bool {
    there.file() == image.file()
}

/// Whether a BMC reports only the beginning of a URL. That of another boot may begin in the same
/// way.
fn is_cut(there: &ImageUrl, image: &ImageUrl) -> bool {
    let shown = there.as_str().trim_end_matches(['.', '\u{2026}']);
    shown.len() > "https://".len() && image.as_str().starts_with(shown)
}

fn said(why: &Unreachable) -> &str {
    match why {
        Unreachable::NoAnswer(text)
        | Unreachable::SessionsFull(text)
        | Unreachable::Misbehaving(text) => text,
        Unreachable::Unauthorized => "it rejected the credentials",
    }
}
