//! Controller of [`BootToken`]: ends tokens whose time is over, and finishes what a crash has left half done.

use super::{
    KEPT, Refusal, binding, deadline, expiry,
    installer::{Source, installer, is_word, source, writes_disk_image},
    login::NoLogin,
    phase, register,
};
use crate::{
    conditions::{self, Fact},
    rented_host::PublicKey,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootInstaller, BootToken, BootTokenPhase, BootTokenStatus, Host, condition};

/// Watches wake a token when something changes; this catches what they missed.
const RESYNC: SignedDuration = SignedDuration::from_mins(10);
/// The same while a Secret has to be corrected, because no watch wakes the token then.
const SECRETS: SignedDuration = SignedDuration::from_mins(1);
/// How long the replica that has recorded a registration has to finish it before the controller does.
const GRACE: SignedDuration = SignedDuration::from_secs(2);

/// How long a machine that is installed may take to register, before that is reported: some take a quarter of
/// an hour to start.
const LATE: SignedDuration = SignedDuration::from_mins(30);

/// What is said then.
const NOT_REGISTERED: &str = "the installer was done half an hour ago or more, and the installed system has not \
                              registered: see whether it boots from its disk, and reaches the server";

/// What a word may consist of.
const PLAIN: &str = "create a token with printable ASCII only, without quotation marks, dollar \
                     signs and the like";

/// Everything one decision depends on.
#[derive(Clone, Copy)]
pub struct Observation<'a> {
    /// The object, from the cache.
    pub token: &'a BootToken,
    /// Whether another token has the same hash.
    pub is_ambiguous: bool,
    /// The Host of its host name.
    pub host: Option<&'a Host>,
    /// Whether there is a Host of its host name that is not in the cache, because it cannot be parsed, or there
    /// is no room for it.
    pub is_host_unreadable: bool,
    /// The installer of tokens without one.
    pub installer: Option<&'a BootInstaller>,
    /// Why the server does not serve an image, by its reference.
    pub refusal_of: &'a dyn Fn(&str) -> Option<String>,
    /// Why its kickstart template cannot be read or rendered.
    pub no_template: Option<&'a str>,
    /// Whether its kickstart names the location of Anaconda.
    pub names_installer: bool,
    /// Why there is no login for its images.
    pub no_login: Option<&'a NoLogin>,
    /// The failure of the last pass, if it failed.
    pub failure: Option<&'a str>,
    /// When this was observed.
    pub now: Timestamp,
}

/// What a pass writes besides the status.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create the Host of a machine that has registered.
    Create(Box<Host>),
    /// Remove the token, which expired long ago.
    Remove,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<BootTokenStatus, Change>;

/// Decides what one pass does about one token.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let token = seen.token;
    let old = token.status.clone().unwrap_or_default();
    let mut new = old.clone();
    let phase = phase(token, seen.now);
    new.phase = Some(phase);
    new.expires_at = expiry(token).map(Time);
    let finish = unfinished(seen);
    if let Some(Ok(register::Next::Adopt(uid))) = &finish
        && let Some(registration) = &mut new.registration
    {
        registration.host_uid = Some(uid.clone());
    }
    tell(&mut new, phase, finish.as_ref(), seen);
    if new != old {
        return Decision::Record(Box::new(new));
    }
    if let Some(Ok(register::Next::Create(host))) = finish {
        let since = new.registration.map(|it| seen.now.duration_since(it.at.0));
        return match since {
            Some(since) if since < GRACE && since > -GRACE => Decision::Rest(GRACE),
            Some(_) | None => Decision::Change(Change::Create(host)),
        };
    }
    let over = end(token, phase).and_then(|end| end.checked_add(KEPT).ok());
    match over {
        Some(over) if over <= seen.now => Decision::Change(Change::Remove),
        Some(over) => Decision::Rest(over.duration_since(seen.now).min(RESYNC)),
        None => {
            let left = deadline(token).map(|deadline| deadline.duration_since(seen.now));
            let most = seen.no_login.map_or(RESYNC, |_| SECRETS);
            Decision::Rest(left.unwrap_or(most).clamp(SignedDuration::from_secs(1), most))
        }
    }
}

/// When the token expired. One that was revoked is kept until it would have expired.
fn end(token: &BootToken, phase: BootTokenPhase) -> Option<Timestamp> {
    match phase {
        BootTokenPhase::Expired | BootTokenPhase::Revoked | BootTokenPhase::Consumed => {
            deadline(token)
        }
        BootTokenPhase::Issued
        | BootTokenPhase::Fetched
        | BootTokenPhase::Installing
        | BootTokenPhase::Installed => None,
    }
}

fn unfinished(seen: &Observation<'_>) -> Option<Result<register::Next, Refusal>> {
    let registration = seen.token.status.as_ref()?.registration.as_ref()?;
    if registration.host_uid.is_some() {
        return None;
    }
    if seen.is_host_unreadable {
        return Some(Err(Refusal::HostUnreadable(seen.token.spec.host_name.clone())));
    }
    Some(register::finish(seen.token, registration, seen.host))
}

/// Sets the condition whether the token can be used.
fn tell(
    new: &mut BootTokenStatus,
    phase: BootTokenPhase,
    finish: Option<&Result<register::Next, Refusal>>,
    seen: &Observation<'_>,
) {
    let problem = problem(phase, finish, seen);
    let is_over = matches!(phase, BootTokenPhase::Expired | BootTokenPhase::Revoked);
    let holds = problem.is_none() && !is_over;
    let (reason, message) = match problem {
        Some(problem) => problem,
        None if is_late(phase, seen) => (phase.as_str(), NOT_REGISTERED.to_owned()),
        None => (phase.as_str(), String::new()),
    };
    let fact = Fact { type_: condition::USABLE, holds, reason, message: &message };
    conditions::set(&mut new.conditions, fact, seen.token.metadata.generation, seen.now);
}

/// Whether a machine was installed, and should have registered since.
fn is_late(phase: BootTokenPhase, seen: &Observation<'_>) -> bool {
    let progress = seen.token.status.as_ref().and_then(|status| status.progress.as_ref());
    let is_silent = |at: Timestamp| seen.now.duration_since(at) >= LATE;
    phase == BootTokenPhase::Installed && progress.is_some_and(|done| is_silent(done.at.0))
}

/// Whether there is a Host of its host name, which is another machine.
fn name_taken(seen: &Observation<'_>) -> Option<(&'static str, String)> {
    let name = &seen.token.spec.host_name;
    if seen.is_host_unreadable {
        let refusal = Refusal::HostUnreadable(name.clone());
        return Some(((&refusal).into(), refusal.to_string()));
    }
    let key = PublicKey::parse(&seen.host?.spec.public_key);
    let what = if key.is_ok() { "exists" } else { "exists, with a key that cannot be used" };
    let message = format!("Host {name} {what}: delete it, or create a token for another name");
    Some(("HostNameTaken", message))
}

fn problem(
    phase: BootTokenPhase,
    finish: Option<&Result<register::Next, Refusal>>,
    seen: &Observation<'_>,
) -> Option<(&'static str, String)> {
    if seen.is_ambiguous {
        let message = "another BootToken has the same tokenSHA256: neither opens anything".into();
        return Some(("Ambiguous", message));
    }
    match finish {
        Some(Err(refusal)) => return Some((refusal.into(), refusal.to_string())),
        // For example a quota, or an admission webhook. The machine is told to wait in the meantime.
        Some(Ok(register::Next::Create(_))) => {
            let failure = seen.failure?;
            return Some(("HostNotCreated", format!("it is tried again: {failure}")));
        }
        Some(Ok(_)) | None => {}
    }
    match phase {
        BootTokenPhase::Consumed | BootTokenPhase::Expired | BootTokenPhase::Revoked => None,
        BootTokenPhase::Issued
        | BootTokenPhase::Fetched
        | BootTokenPhase::Installing
        | BootTokenPhase::Installed => installation_problem(seen),
    }
}

/// Why no machine can be installed with a token that is open.
fn installation_problem(seen: &Observation<'_>) -> Option<(&'static str, String)> {
    if let Some(problem) = name_taken(seen) {
        return Some(problem);
    }
    if let Some(why) = seen.token.spec.binding.as_ref().and_then(binding::problem) {
        return Some(("BindingFitsMany", why));
    }
    let installer = installer(seen.token, seen.installer);
    let is_disk = writes_disk_image(seen.token, seen.installer);
    if let Some(why) = seen.no_template.filter(|_| !is_disk) {
        return Some(("NoTemplate", why.to_owned()));
    }
    if let Some(problem) = no_installer(installer, seen) {
        return Some(problem);
    }
    if let Some(why) = seen.no_login {
        return Some((why.reason(), why.to_string()));
    }
    let why = (seen.refusal_of)(&seen.token.spec.image).filter(|_| is_disk)?;
    Some(("ImageNotServed", format!("image: {why}")))
}

fn no_installer(
    installer: Option<&BootInstaller>,
    seen: &Observation<'_>,
) -> Option<(&'static str, String)> {
    let arguments = installer.map(|it| it.arguments.as_slice()).unwrap_or_default();
    if let Some(argument) = arguments.iter().find(|argument| !is_word(argument)) {
        let why = format!("installer.arguments: {argument:?} is not one word: {PLAIN}");
        return Some(("Malformed", why));
    }
    match installer.and_then(|it| source(it, &seen.token.spec.image)) {
        None => {
            let message = "spec.installer is missing, and the server has no default \
                           (--installer-image, or --installer-kernel-url and --installer-initrd-url)";
            Some(("NoInstaller", message.to_owned()))
        }
        Some(Source::Image(image)) => {
            let why = (seen.refusal_of)(image)?;
            Some(("ImageNotServed", format!("installer.image: {why}")))
        }
        Some(Source::Mirror { stage2: None, .. })
            if !seen.names_installer && !arguments.iter().any(|it| names_stage2(it)) =>
        {
            let message = "the installer of a mirror needs installer.stage2URL (or \
                           --installer-stage2-url): Anaconda is there, and not in its kernel";
            Some(("NoStage2", message.to_owned()))
        }
        Some(Source::Mirror { stage2, .. }) => {
            let url = stage2.filter(|url| !is_word(url))?;
            Some(("Malformed", format!("installer.stage2URL: {url:?} is not one word: {PLAIN}")))
        }
    }
}

/// Whether an argument of the kernel says where the installer is, in the words of dracut or Anaconda.
fn names_stage2(argument: &str) -> bool {
    ["inst.stage2=", "inst.repo=", "root="].iter().any(|it| argument.starts_with(it))
}
