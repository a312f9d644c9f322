//! Reading systems.

use crate::{
    Error,
    call::{Call, failed, is_fatal},
    collection, field,
    message::chain,
    quirks,
};
use metal_core::redfish::{BootReading, IndicatorLed, SystemReading};
use serde_json::Value;

/// No system can be read.
#[derive(Debug, thiserror::Error)]
#[error("none of its members can be read")]
struct Nobody;

/// Every system, in the order of the collection. One that cannot be read does not cost the others.
pub(crate) async fn systems(call: &Call<'_>) -> Result<Vec<SystemReading>, Error> {
    let root = call.root().await?;
    let mut missing = vec![];
    let mut members = collection::members(call, &root, &root.systems, &mut missing).await?;
    members.retain(|member| quirks::is_system(&root.platform, &member.uri));
    let is_empty = members.is_empty() && missing.is_empty();
    let (mut systems, mut last) = (vec![], None);
    for member in members {
        match member.read(call).await {
            Ok((uri, body)) => systems.push(reading(uri, &body)),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                missing.push(chain(&error));
                last = Some(error);
            }
        }
    }
    if systems.is_empty() && !is_empty {
        let nobody = || failed(format!("get {}", root.systems), Nobody);
        return Err(last.unwrap_or_else(nobody));
    }
    for error in missing {
        tracing::warn!(address = %call.address(), error, "system left out");
    }
    quirks::drop_boards_that_cannot_boot(&mut systems);
    Ok(systems)
}

/// One system.
pub(crate) async fn system(call: &Call<'_>, uri: &str) -> Result<SystemReading, Error> {
    Ok(reading(uri.to_owned(), &call.get(uri).await?.body))
}

/// What a `ComputerSystem` says.
pub(crate) fn reading(uri: String, body: &Value) -> SystemReading {
    let text = |name: &str| field::text(&body[name]);
    SystemReading {
        uri,
        uuid: field::uuid(&body["UUID"]),
        serial_number: text("SerialNumber"),
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        sku: text("SKU"),
        bios_version: text("BiosVersion"),
        memory_bytes: field::gibibytes(&body["MemorySummary"]["TotalSystemMemoryGiB"]),
        power: field::word(&body["PowerState"]).unwrap_or_default(),
        indicator_led: indicator_led(body),
        boot: boot(&body["Boot"]),
        reset_types: field::words(
            &body["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"],
        ),
        last_reset: field::time(&body["LastResetTime"]),
    }
}

fn indicator_led(body: &Value) -> Option<IndicatorLed> {
    let active = || {
        let is_active = body["LocationIndicatorActive"].as_bool()?;
        Some(if is_active { IndicatorLed::Lit } else { IndicatorLed::Off })
    };
    field::word(&body["IndicatorLED"]).or_else(active)
}

fn boot(boot: &Value) -> BootReading {
    BootReading {
        enabled: field::word(&boot["BootSourceOverrideEnabled"]).unwrap_or_default(),
        target: field::word(&boot["BootSourceOverrideTarget"]),
        mode: field::word(&boot["BootSourceOverrideMode"]),
        allowable: field::words(&boot["BootSourceOverrideTarget@Redfish.AllowableValues"]),
        allowable_modes: field::words(&boot["BootSourceOverrideMode@Redfish.AllowableValues"]),
        order: boot_order(&boot["BootOrder"]),
    }
}

fn boot_order(order: &Value) -> Vec<String> {
    let entries = field::texts(order);
    entries.iter().map(|entry| quirks::boot_reference(entry).to_owned()).collect()
}
