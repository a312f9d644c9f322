//! Resets, as the resource itself offers them.

use crate::{
    Error,
    call::{Call, failed, is_fatal},
    field,
    forms::{AllRefused, Kind, Parameter, Write, set},
    uri,
};
use http::Method;
use metal_core::redfish::ResetType;
use serde_json::{Value, json};

/// Why a reset is not even tried.
#[derive(Debug, thiserror::Error)]
enum ActionError {
    #[error("it offers no action {0}")]
    NotOffered(&'static str),
    #[error("it allows only {0}")]
    NotAllowed(String),
}

/// Resets a system, and waits until that is done.
pub(crate) async fn reset_system(
    call: &Call<'_>,
    uri: &str,
    reset: ResetType,
) -> Result<(), Error> {
    const NAME: &str = "#ComputerSystem.Reset";
    let action = match call.memory().reset_of(uri) {
        Some(action) => action,
        None => call.get(uri).await?.body["Actions"][NAME].take(),
    };
    // It uses an override up.
    call.memory().saw_effect(uri);
    let done = post(call, uri, NAME, &action, (Kind::Reset(reset), reset)).await;
    if let Err(Error::Failed { source, .. }) = &done
        && source.downcast_ref::<AllRefused>().is_some_and(AllRefused::is_about_a_value)
    {
        call.memory().denies(reset);
    }
    done
}

/// Resets a manager. It will not be there to tell when that is done.
pub(crate) async fn reset_manager(
    call: &Call<'_>,
    uri: &str,
    reset: ResetType,
) -> Result<(), Error> {
    const NAME: &str = "#Manager.Reset";
    let action = call.get(uri).await?.body["Actions"][NAME].take();
    post(call, uri, NAME, &action, (Kind::ResetManager(reset), reset)).await
}

async fn post(
    call: &Call<'_>,
    uri: &str,
    name: &'static str,
    action: &Value,
    (kind, reset): (Kind, ResetType),
) -> Result<(), Error> {
    let what = format!("reset {uri} with {reset}");
    let cannot = |why| failed(what.clone(), why);
    let target = action["target"].as_str().and_then(|link| uri::path_of(link, call.address()));
    let target = target.ok_or_else(|| cannot(ActionError::NotOffered(name)))?;
    let allowed = allowable(call, action, "ResetType").await?;
    let choices = choices(reset, &allowed);
    if choices.is_empty() {
        return Err(cannot(ActionError::NotAllowed(call.redacted(allowed.join(", ")))));
    }
    let choices: Vec<_> = choices.iter().map(ToString::to_string).collect();
    let write = Write {
        kind,
        method: Method::POST,
        uri: &target,
        etags: crate::call::Etags::default(),
        settings: None,
        body: json!({}),
        parameters: choices.iter().map(|it| Parameter::choice("ResetType", it)).collect(),
        sets: choices.iter().map(|it| set([it.as_str()])).collect(),
        present: Value::Null,
        unseen: vec![],
        action: what,
    };
    match kind {
        Kind::ResetManager(_) => write.send_off(call).await,
        _ => write.send(call).await,
    }
}

/// What a parameter of an action allows: on the spot, or in its `ActionInfo`. Nothing, if neither can be read.
pub(crate) async fn allowable(
    call: &Call<'_>,
    action: &Value,
    parameter: &str,
) -> Result<Vec<String>, Error> {
    let allowed = field::texts(&action[format!("{parameter}@Redfish.AllowableValues")]);
    let Some(info) = action["@Redfish.ActionInfo"].as_str().filter(|_| allowed.is_empty()) else {
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

/// The types to ask for, one after the other: this one, and another that does the same. Of a BMC
/// that says what it allows, only what it allows. A graceful one is never replaced by force: that
/// is for the caller to decide.
fn choices(reset: ResetType, allowed: &[String]) -> Vec<ResetType> {
    use ResetType::{ForceOn, ForceRestart, On, PowerCycle};
    let other = match reset {
        On => Some(ForceOn),
        ForceOn => Some(On),
        ForceRestart => Some(PowerCycle),
        PowerCycle => Some(ForceRestart),
        ResetType::ForceOff | ResetType::GracefulShutdown | ResetType::GracefulRestart => None,
    };
    let is_allowed = |reset: &ResetType| allowed.is_empty() || allowed.contains(&reset.to_string());
    [Some(reset), other].into_iter().flatten().filter(is_allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_replaced_only_by_one_that_does_the_same() {
        use ResetType::{ForceOff, ForceOn, ForceRestart, GracefulShutdown, On, PowerCycle};
        for (wanted, allowed, chosen) in [
            (On, &["On", "ForceOff"][..], &[On][..]),
            (On, &["ForceOn", "ForceOff"], &[ForceOn]),
            (ForceOn, &["On"], &[On]),
            (PowerCycle, &["ForceRestart"], &[ForceRestart]),
            (ForceRestart, &["PowerCycle"], &[PowerCycle]),
            (GracefulShutdown, &["ForceOff"], &[]),
            (ForceOff, &["PushPowerButton"], &[]),
            (PowerCycle, &[], &[PowerCycle, ForceRestart]),
            (GracefulShutdown, &[], &[GracefulShutdown]),
        ] {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            assert_eq!(choices(wanted, &allowed), chosen, "{wanted} of {allowed:?}");
        }
    }
}
