//! Settings resources (`@Redfish.Settings`; DSP0266, section 9.10). Some boards, AMI's among them,
//! accept a boot override only there, and show it there until the next boot has used it.

use crate::{
    Error,
    transport::{
        call::{Call, Resource, is_fatal},
        etags::Etags,
        field,
        form::WriteTarget,
    },
};
use serde_json::Value;

/// Where boot sources are listed.
const LISTED: &str = "BootSourceOverrideTarget@Redfish.AllowableValues";

/// The link to the settings resource.
pub(crate) fn link(system: &Value) -> Option<String> {
    field::link(&system["@Redfish.Settings"]["SettingsObject"])
}

/// The effective `Boot` object: that of the resource that writes go to, with what it leaves out
/// taken from the system itself. With the ETags of the settings resource, if that was read.
pub(crate) async fn boot(call: &Call<'_>, system: &Value) -> Result<(Value, Option<Etags>), Error> {
    let boot = system["Boot"].clone();
    let Some(uri) = link(system) else { return Ok((boot, None)) };
    let memory = call.memory();
    let is_pending = match memory.place_of_boot() {
        Some(WriteTarget::Settings) => true,
        Some(WriteTarget::Resource) => false,
        None => memory.may_have_boot(&uri),
    };
    if !is_pending {
        return Ok((boot, None));
    }
    let settings = match call.get(&uri).await {
        Ok(settings) => settings,
        Err(error) if is_fatal(&error) => return Err(error),
        Err(_) => {
            // A link that leads nowhere, or to a resource that is write-only.
            if !call.is_over() {
                memory.hides_boot(&uri);
            }
            return Ok((boot, None));
        }
    };
    let shown = &settings.body["Boot"];
    // Dell iDRAC 10 lists what it takes here only, and its own `Boot` is read-only.
    let is_shown = !shown["BootSourceOverrideTarget"].is_null()
        || (shown[LISTED].is_array() && !boot[LISTED].is_array());
    if !is_shown && memory.place_of_boot().is_none() {
        memory.has_no_boot(&uri);
    }
    let boot = if is_shown { with_pending(boot, system, &settings) } else { boot };
    Ok((boot, Some(settings.etags)))
}

/// The `Boot` object of a system with what is to come.
fn with_pending(mut boot: Value, system: &Value, settings: &Resource) -> Value {
    let to_come = &settings.body["Boot"];
    // Once they have been applied, the system itself counts (DSP0268, `Settings.ETag`).
    let applied = system["@Redfish.Settings"]["ETag"].as_str();
    if applied.is_some_and(|applied| settings.etags.contain(applied)) {
        return boot;
    }
    match (&mut boot, to_come) {
        (Value::Object(boot), Value::Object(to_come)) => {
            // `null` is how a URI is cleared; elsewhere it means that nothing is to come.
            let is_said = |name: &str, value: &Value| !value.is_null() || name == "HttpBootUri";
            let said = to_come.iter().filter(|(name, value)| is_said(name, value));
            boot.extend(said.map(|(name, value)| (name.clone(), value.clone())));
        }
        _ => boot.clone_from(to_come),
    }
    boot
}
