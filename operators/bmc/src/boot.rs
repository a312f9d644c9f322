//! Where the next boot comes from.

use crate::{
    Error,
    call::{Call, failed},
    patch::patch,
    quirks, system,
};
use metal_core::redfish::{BootEnabled, BootMode, BootSource};
use serde_json::{Value, json};

/// The BMC says beforehand that it would refuse.
#[derive(Debug, thiserror::Error)]
#[error("it allows only {0}")]
struct NotAllowed(String);

/// Sets the source of the next boot, and of no other.
pub(crate) async fn boot_once(
    call: &Call<'_>,
    uri: &str,
    source: BootSource,
    mode: Option<BootMode>,
) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    let system = system::reading(uri.to_owned(), &resource.body);
    let allowable = &system.boot.allowable;
    if !allowable.is_empty() && !allowable.contains(&source) {
        let allowed: Vec<_> = allowable.iter().map(ToString::to_string).collect();
        let action = format!("boot {uri} from {source}");
        return Err(failed(action, NotAllowed(allowed.join(", "))));
    }
    let mut boot = json!({
        "BootSourceOverrideEnabled": BootEnabled::Once.to_string(),
        "BootSourceOverrideTarget": source.to_string(),
    });
    let has_mode = resource.body["Boot"].get("BootSourceOverrideMode").is_some();
    if let Some(mode) = quirks::mode_to_send(mode, &system, has_mode) {
        boot["BootSourceOverrideMode"] = Value::from(mode.to_string());
    }
    patch(call, uri, &resource, &json!({ "Boot": boot })).await
}

/// Sets the persistent boot order, and drops an override that would hide it.
pub(crate) async fn boot_order(call: &Call<'_>, uri: &str, order: &[String]) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    let system = system::reading(uri.to_owned(), &resource.body);
    let mut boot = json!({ "BootOrder": order });
    if system.boot.enabled != BootEnabled::Disabled {
        boot["BootSourceOverrideEnabled"] = Value::from(BootEnabled::Disabled.to_string());
    }
    patch(call, uri, &resource, &json!({ "Boot": boot })).await
}
