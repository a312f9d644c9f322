//! Resets, as the resource itself offers them.

use crate::{
    Error,
    call::{Call, failed},
    endpoint::Request,
    field, task, uri,
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
    let request = request(call, uri, "#ComputerSystem.Reset", reset).await?;
    let reply = call.send(&request).await?;
    let action = || format!("reset {uri} with {reset}");
    call.succeed(&reply, action)?;
    task::finish(call, reply, action()).await
}

/// Resets a manager. It will not be there to tell when that is done.
pub(crate) async fn reset_manager(
    call: &Call<'_>,
    uri: &str,
    reset: ResetType,
) -> Result<(), Error> {
    let request = request(call, uri, "#Manager.Reset", reset).await?;
    let reply = call.send(&request).await?;
    call.succeed(&reply, || format!("reset {uri} with {reset}"))
}

async fn request(
    call: &Call<'_>,
    uri: &str,
    name: &'static str,
    reset: ResetType,
) -> Result<Request, Error> {
    let body = call.get(uri).await?.body;
    let action = &body["Actions"][name];
    let cannot = |why| failed(format!("reset {uri} with {reset}"), why);
    let target = action["target"].as_str().and_then(|link| uri::path_of(link, call.address()));
    let target = target.ok_or_else(|| cannot(ActionError::NotOffered(name)))?;
    let allowed = allowable(call, action).await;
    let chosen = choose(reset, &allowed)
        .ok_or_else(|| cannot(ActionError::NotAllowed(allowed.join(", "))))?;
    let parameters = json!({"ResetType": chosen.to_string()});
    Ok(Request::new(Method::POST, &target).json(&parameters))
}

/// What the action allows: on the spot, or in its `ActionInfo`. Nothing, if neither can be read.
async fn allowable(call: &Call<'_>, action: &Value) -> Vec<String> {
    let allowed = field::texts(&action["ResetType@Redfish.AllowableValues"]);
    let Some(info) = action["@Redfish.ActionInfo"].as_str().filter(|_| allowed.is_empty()) else {
        return allowed;
    };
    let Ok(info) = call.get(info).await else { return allowed };
    let mut parameters = info.body["Parameters"].as_array().into_iter().flatten();
    let reset = parameters.find(|parameter| parameter["Name"] == "ResetType");
    reset.map(|reset| field::texts(&reset["AllowableValues"])).unwrap_or_default()
}

/// The type to ask for: this one, or another that does the same, if the BMC allows only that. A
/// graceful one is never replaced by force: that is for the caller to decide.
fn choose(reset: ResetType, allowed: &[String]) -> Option<ResetType> {
    use ResetType::{ForceOn, ForceRestart, On, PowerCycle};
    let other = match reset {
        On => Some(ForceOn),
        ForceOn => Some(On),
        ForceRestart => Some(PowerCycle),
        PowerCycle => Some(ForceRestart),
        ResetType::ForceOff | ResetType::GracefulShutdown | ResetType::GracefulRestart => None,
    };
    let is_allowed = |reset: &ResetType| allowed.is_empty() || allowed.contains(&reset.to_string());
    Some(reset).filter(is_allowed).or(other.filter(is_allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_replaced_only_by_one_that_does_the_same() {
        use ResetType::{ForceOff, ForceOn, ForceRestart, GracefulShutdown, On, PowerCycle};
        for (wanted, allowed, chosen) in [
            (On, &["On", "ForceOff"][..], Some(On)),
            (On, &["ForceOn", "ForceOff"], Some(ForceOn)),
            (ForceOn, &["On"], Some(On)),
            (PowerCycle, &["ForceRestart"], Some(ForceRestart)),
            (ForceRestart, &["PowerCycle"], Some(PowerCycle)),
            (GracefulShutdown, &["ForceOff"], None),
            (ForceOff, &["PushPowerButton"], None),
            (PowerCycle, &[], Some(PowerCycle)),
        ] {
            let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
            assert_eq!(choose(wanted, &allowed), chosen, "{wanted} of {allowed:?}");
        }
    }
}
