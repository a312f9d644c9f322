//! Controller of [`Host`]: remembers which release was requested before, and says whether the one
//! that is requested exists.

use crate::conditions::{self, Fact};
use jiff::{SignedDuration, Timestamp};
use metal_api::{BootToken, Host, HostRelease, HostStatus, condition};
use metal_base::Never;

/// Watches wake a Host when something changes; this catches what they missed.
const RESYNC: SignedDuration = SignedDuration::from_mins(10);

/// What one pass is to do.
pub type Decision = metal_base::Decision<HostStatus, Never>;

/// The release that a Host names.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// There is none.
    Missing,
    /// It exists, but is not kept: it is too large, cannot be parsed, or is one of too many.
    Unreadable,
    /// It is this one, whether it is for this Host or not.
    Here(&'a HostRelease),
}

/// Everything one decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache.
    pub host: &'a Host,
    /// The release that it names.
    pub release: Named<'a>,
    /// The token that it has registered with.
    pub token: Option<&'a BootToken>,
    /// When this was observed.
    pub now: Timestamp,
}

/// Decides what one pass does about one Host.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let Observation { host, release, token, now } = *seen;
    let old = host.status.clone().unwrap_or_default();
    let mut new = old.clone();
    if let Some(token) = token.filter(|_| new.hardware.is_none()) {
        let registration = token.status.as_ref().and_then(|it| it.registration.as_ref());
        new.hardware = registration.map(|it| it.hardware.clone());
        // Until it reports otherwise, it runs what was installed.
        new.running_image = new.running_image.or_else(|| Some(token.spec.image.clone()));
    }
    if host.spec.active_release != old.requested_release {
        // One that never ran, or that was rolled back, is nothing to go back to.
        if old.requested_release.is_some() && old.requested_release == old.running_release {
            new.previous_release.clone_from(&old.requested_release);
        }
        new.requested_release.clone_from(&host.spec.active_release);
    }
    match &host.spec.active_release {
        Some(name) => {
            let (holds, reason, message) = found(host, name, release);
            let fact = Fact { type_: condition::RELEASE_FOUND, holds, reason, message: &message };
            conditions::set(&mut new.conditions, fact, host.metadata.generation, now);
        }
        None => new.conditions.retain(|it| it.type_ != condition::RELEASE_FOUND),
    }
    if new == old { Decision::Rest(RESYNC) } else { Decision::Record(Box::new(new)) }
}

fn found(host: &Host, name: &str, release: Named<'_>) -> (bool, &'static str, String) {
    match release {
        Named::Missing => (false, "NotFound", format!("there is no HostRelease {name}: create it")),
        Named::Unreadable => {
            let what = "is not kept: it is too large, cannot be read, or its namespace has too many; create a \
                        smaller one, or delete those that no Host runs";
            (false, "Unreadable", format!("HostRelease {name} {what}"))
        }
        Named::Here(release) if !is_for(release, host) => {
            let of = &release.spec.host_name;
            (false, "OtherHost", format!("HostRelease {name} is for Host {of}"))
        }
        Named::Here(_) => (true, "Found", String::new()),
    }
}

/// Whether a release is for this host.
pub fn is_for(release: &HostRelease, host: &Host) -> bool {
    Some(&release.spec.host_name) == host.metadata.name.as_ref()
        && release.metadata.namespace == host.metadata.namespace
}
