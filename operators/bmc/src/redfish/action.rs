//! Resets: only the types that the resource itself offers.

use crate::{
    Error,
    redfish::forms::{AllRefused, Parameter, Write, set},
    transport::{
        call::{Call, failed, is_fatal},
        etags::Etags,
        field,
        form::Kind,
        uri,
    },
};
use http::Method;
use metal_core::redfish::{PowerState, ResetType};
use serde_json::{Value, json};
use std::time::Duration;

/// For how long the description of an action counts as fresh.
const FRESH: Duration = Duration::from_secs(15);

/// Why a reset was not attempted.
#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error("it does not offer the action {0}")]
    Absent(&'static str),
    #[error("it allows only {0}")]
    NotAllowed(String),
    #[error("it only supports pressing the power button, and the host is not on")]
    HostNotOn,
}

/// Resets a system and waits until the reset is complete.
pub(crate) async fn reset_system(
    call: &Call<'_>,
    uri: &str,
    reset: ResetType,
) -> Result<(), Error> {
    const NAME: &str = "#ComputerSystem.Reset";
    let system = match call.system_within(FRESH, uri) {
        Some(system) => system,
        None => call.get(uri).await?,
    };
    let action = ResetAction { uri, name: NAME, action: &system.body["Actions"][NAME] };
    // A reset consumes a pending boot override.
    call.memory().saw_effect(uri);
    let done = action.post(call, Kind::Reset(reset), reset).await;
    if let Err(Error::Failed { source, .. }) = &done
        && source.downcast_ref::<AllRefused>().is_some_and(AllRefused::is_about_a_value)
    {
        call.memory().denies(reset);
    }
    done
}

/// Resets a manager. The manager goes down, so its completion is not waited for.
pub(crate) async fn reset_manager(
    call: &Call<'_>,
    uri: &str,
    reset: ResetType,
) -> Result<(), Error> {
    const NAME: &str = "#Manager.Reset";
    let manager = call.get(uri).await?;
    let action = ResetAction { uri, name: NAME, action: &manager.body["Actions"][NAME] };
    action.post(call, Kind::ResetManager(reset), reset).await
}

/// The action that resets a resource.
struct ResetAction<'a> {
    uri: &'a str,
    name: &'static str,
    action: &'a Value,
}

impl ResetAction<'_> {
    async fn post(&self, call: &Call<'_>, kind: Kind, reset: ResetType) -> Result<(), Error> {
        let (uri, what) = (self.uri, format!("reset {} with {reset}", self.uri));
        let cannot = |why| failed(what.clone(), why);
        let target = self.action["target"].as_str().and_then(uri::path_of);
        let target = target.ok_or_else(|| cannot(ActionError::Absent(self.name)))?;
        let allowed = allowable(call, self.action, "ResetType").await?;
        let choices = choices(reset, &allowed);
        if choices.is_empty() {
            return Err(cannot(ActionError::NotAllowed(call.redacted(allowed.join(", ")))));
        }
        let button = ResetType::PushPowerButton.to_string();
        if choices.iter().any(|it| it.eq_ignore_ascii_case(&button)) && !is_on(call, uri).await? {
            return Err(cannot(ActionError::HostNotOn));
        }
        let write = Write {
            kind,
            method: Method::POST,
            uri: &target,
            owner: Some(uri),
            etags: Etags::default(),
            settings: None,
            settings_etags: None,
            body: json!({}),
            parameters: choices.iter().map(|it| Parameter::choice(&["ResetType"], it)).collect(),
            sets: choices.iter().map(|it| set([it.as_str()])).collect(),
            present: Value::Null,
            unseen: vec![],
            wanted: None,
            action: what,
        };
        match kind {
            Kind::ResetManager(_) => write.send_off(call).await,
            _ => write.send(call).await,
        }
    }
}

/// The values that a parameter of an action may have, from the resource itself or from its
/// `ActionInfo`; none if neither can be read.
pub(crate) async fn allowable(
    call: &Call<'_>,
    action: &Value,
    parameter: &str,
) -> Result<Vec<String>, Error> {
    let allowed = field::texts(&action[format!("{parameter}@Redfish.AllowableValues")]);
    let Some(info) = field::action_info(action).filter(|_| allowed.is_empty()) else {
        return Ok(allowed);
    };
    if let Some(known) = call.memory().allowed(info) {
        return Ok(known);
    }
    let body = match call.get(info).await {
        Ok(resource) => resource.body,
        Err(error) if is_fatal(&error) => return Err(error),
        Err(_) => return Ok(allowed),
    };
    let mut parameters = body["Parameters"].as_array().into_iter().flatten();
    let found = parameters.find(|it| it["Name"] == parameter);
    Ok(found.map(|it| field::texts(&it["AllowableValues"])).unwrap_or_default())
}

/// The reset types to try, in order: the one asked for, then an equivalent one, each as the BMC
/// spells it. If the BMC lists allowable values, only those are tried. A graceful reset is never
/// replaced by a forced one: that is the caller's decision.
fn choices(reset: ResetType, allowed: &[String]) -> Vec<String> {
    use ResetType::{ForceOn, ForceRestart, GracefulShutdown, On, PowerCycle, PushPowerButton};
    let other = match reset {
        On => Some(ForceOn),
        ForceOn => Some(On),
        ForceRestart => Some(PowerCycle),
        PowerCycle => Some(ForceRestart),
        // HPE iLO 4 has no other graceful shutdown.
        GracefulShutdown if !allowed.is_empty() => Some(PushPowerButton),
        _ => None,
    };
    let spelled = |reset: ResetType| {
        let name = reset.to_string();
        if allowed.is_empty() {
            return Some(name);
        }
        allowed.iter().find(|allowed| allowed.eq_ignore_ascii_case(&name)).cloned()
    };
    let mut choices: Vec<_> =
        [Some(reset), other].into_iter().flatten().filter_map(spelled).collect();
    if reset == GracefulShutdown {
        choices.truncate(1);
    }
    choices
}

/// Whether the host is on. Pressing the power button then asks it to shut down; otherwise it would
/// start it.
async fn is_on(call: &Call<'_>, uri: &str) -> Result<bool, Error> {
    let power = call.get(uri).await?.body["PowerState"].clone();
    Ok(field::word(&power) == Some(PowerState::On))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_replaced_only_by_one_that_does_the_same() {
        use ResetType::{ForceOff, ForceOn, ForceRestart, GracefulShutdown, On, PowerCycle};
        for (wanted, allowed, chosen) in [
            (On, &["On", "ForceOff"][..], &["On"][..]),
            (On, &["on", "ForceOff"], &["on"]),
            (On, &["ForceOn", "ForceOff"], &["ForceOn"]),
            (ForceOn, &["On"], &["On"]),
            (PowerCycle, &["ForceRestart"], &["ForceRestart"]),
            (ForceRestart, &["PowerCycle"], &["PowerCycle"]),
            (GracefulShutdown, &["ForceOff"], &[]),
            (GracefulShutdown, &["ForceOff", "PushPowerButton"], &["PushPowerButton"]),
            (GracefulShutdown, &["PushPowerButton", "GracefulShutdown"], &["GracefulShutdown"]),
            (ForceOff, &["PushPowerButton"], &[]),
            (PowerCycle, &[], &["PowerCycle", "ForceRestart"]),
            (GracefulShutdown, &[], &["GracefulShutdown"]),
        ] {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            assert_eq!(choices(wanted, &allowed), chosen, "{wanted} of {allowed:?}");
        }
    }
}
