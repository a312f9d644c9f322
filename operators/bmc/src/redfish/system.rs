//! Reads systems.

use crate::{
    Error, quirks,
    redfish::{action, collection, led, settings},
    transport::{
        call::{Call, Resource, is_absent, is_fatal},
        etags::Etags,
        field,
        message::reason,
    },
};
use metal_core::redfish::{BootEnabled, BootReading, BootSource, ResetType, SystemReading};
use serde_json::Value;

/// More systems than any BMC has.
const MOST: usize = 64;
/// At most this many remarks are made.
const REMARKS: usize = 32;
/// More boot options, and longer references, than any firmware has.
const OPTIONS: usize = 128;
const REFERENCE: usize = 64;

/// Every system that is a host, in the order of the collection. One that cannot be read does not
/// affect the others. A BMC without a collection has none.
pub(crate) async fn systems(
    call: &Call<'_>,
    remarks: &mut Vec<String>,
) -> Result<Vec<SystemReading>, Error> {
    let root = call.root().await?;
    let found = collection::members(call, &root, &root.systems, remarks).await;
    let mut members = match found {
        Err(error) if is_absent(&error) || (!root.names_systems && !is_fatal(&error)) => {
            remarks.push(format!("{}: {}", root.systems, reason(&error)));
            return Ok(vec![]);
        }
        found => found?,
    };
    members.retain(|member| quirks::is_system(&root.platform, &member.uri));
    if members.len() > MOST {
        remarks.push(format!("{}, after {MOST}: too many systems", root.systems));
        members.truncate(MOST);
    }
    let mut systems = read_members(call, members, remarks).await?;
    quirks::leave_out_what_is_no_host(&mut systems, remarks);
    remarks.truncate(REMARKS);
    Ok(systems.into_iter().map(|(system, _)| system).collect())
}

/// A system, and its `SystemType`.
type Found = (SystemReading, Option<String>);

/// The members that can be read, in the order of the collection. Those that gave no answer last
/// time are asked last, so that the others get the call's time.
async fn read_members(
    call: &Call<'_>,
    members: Vec<collection::Member>,
    remarks: &mut Vec<String>,
) -> Result<Vec<Found>, Error> {
    let mut members: Vec<_> = members.into_iter().enumerate().collect();
    members.sort_by_key(|(_, member)| call.memory().is_silent(&member.uri));
    let (mut systems, mut last) = (vec![], None);
    for (index, member) in members {
        let (uri, is_asked) = (member.uri.clone(), !call.is_over());
        match read_member(call, member).await {
            Ok(system) => {
                call.memory().answered(&uri, true);
                systems.push((index, system));
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                if is_asked {
                    call.memory().answered(&uri, !matches!(error, Error::Unreachable(_)));
                }
                remarks.push(format!("{uri}: {}", reason(&error)));
                last = Some(error);
            }
        }
    }
    if let (true, Some(error)) = (systems.is_empty(), last) {
        return Err(error);
    }
    systems.sort_by_key(|(index, _)| *index);
    Ok(systems.into_iter().map(|(_, system)| system).collect())
}

async fn read_member(call: &Call<'_>, member: collection::Member) -> Result<Found, Error> {
    let is_enough = |body: &Value| {
        let reset = &body["Actions"]["#ComputerSystem.Reset"];
        body["UUID"].is_string() && body["PowerState"].is_string() && reset.is_object()
    };
    let (uri, system) = member.read_whole(call, is_enough).await?;
    let type_ = field::text(&system.body["SystemType"]);
    Ok((read(call, uri, &system).await?, type_))
}

/// One system.
pub(crate) async fn system(call: &Call<'_>, uri: &str) -> Result<SystemReading, Error> {
    let system = call.get(uri).await?;
    read(call, uri.to_owned(), &system).await
}

/// What is said of the next boot by the part of a `ComputerSystem` that is kept for a moment. With
/// the ETags of the settings resource, if that was read.
pub(crate) async fn of_boot(
    call: &Call<'_>,
    uri: String,
    body: &Value,
) -> Result<(SystemReading, Option<Etags>), Error> {
    let (effective, etags) = settings::boot(call, body).await?;
    Ok((SystemReading { boot: boot(&effective), ..reading(uri, body) }, etags))
}

/// What a `ComputerSystem` says, including the resources that it refers to.
pub(crate) async fn read(
    call: &Call<'_>,
    uri: String,
    system: &Resource,
) -> Result<SystemReading, Error> {
    Ok(read_to_write(call, uri, system).await?.0)
}

/// The same, with the ETags of the settings resource, if that was read.
pub(crate) async fn read_to_write(
    call: &Call<'_>,
    uri: String,
    system: &Resource,
) -> Result<(SystemReading, Option<Etags>), Error> {
    let body = &system.body;
    call.memory().saw(&uri, body);
    call.saw_system(&uri, system);
    let (effective, etags) = settings::boot(call, body).await?;
    let boot = boot(&effective);
    call.memory().saw_boot(&uri, &boot);
    let reset = &body["Actions"]["#ComputerSystem.Reset"];
    let allowed = action::allowable(call, reset, "ResetType").await?;
    if let (Some(info), false) = (field::action_info(reset), allowed.is_empty()) {
        // Remembered, because it does not change and a system is read often.
        call.memory().allows(info, allowed.clone());
    }
    let reset_types = reset_types(call, &allowed);
    let mut system = SystemReading { boot, reset_types, ..reading(uri, body) };
    quirks::leave_out_what_boots_nothing(&mut system);
    Ok((system, etags))
}

/// The reset types that a BMC allows. If it lists none, and has refused one, all others are assumed
/// to be allowed.
fn reset_types(call: &Call<'_>, allowed: &[String]) -> Vec<ResetType> {
    use ResetType::{
        ForceOff, ForceOn, ForceRestart, GracefulRestart, GracefulShutdown, On, PowerCycle,
    };
    let denied = call.memory().denied();
    if !allowed.is_empty() || denied.is_empty() {
        let known = |type_: &String| type_.parse().unwrap_or(ResetType::Other);
        let mut types: Vec<_> = allowed.iter().map(known).collect();
        types.dedup();
        return types;
    }
    let all = [On, ForceOn, ForceOff, GracefulShutdown, GracefulRestart, ForceRestart, PowerCycle];
    all.into_iter().filter(|reset| !denied.contains(reset)).collect()
}

pub(crate) fn reading(uri: String, body: &Value) -> SystemReading {
    let text = |name: &str| field::text(&body[name]);
    SystemReading {
        uri,
        uuid: field::uuid(&body["UUID"]),
        has_shipped_uuid: field::is_shipped_uuid(&body["UUID"]),
        serial_number: text("SerialNumber"),
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        sku: text("SKU"),
        bios_version: text("BiosVersion"),
        memory_bytes: memory(&body["MemorySummary"]["TotalSystemMemoryGiB"]),
        power: field::word(&body["PowerState"]).unwrap_or_default(),
        indicator_led: led::reading(body),
        lacks_reset: !body["Actions"]["#ComputerSystem.Reset"]["target"].is_string(),
        last_reset: field::time(&body["LastResetTime"]),
        ..SystemReading::default()
    }
}

/// A number of GiB, in bytes. Some firmware reports 0 until it has counted.
fn memory(gibibytes: &Value) -> Option<u64> {
    field::gibibytes(gibibytes).filter(|bytes| *bytes > 0)
}

pub(crate) fn boot(boot: &Value) -> BootReading {
    let target: Option<BootSource> = field::word(&boot["BootSourceOverrideTarget"]);
    // Some firmware shows the source of the next boot, and not for how long it is set.
    let implied = match target {
        None | Some(BootSource::None) => BootEnabled::Disabled,
        Some(_) => BootEnabled::Once,
    };
    BootReading {
        enabled: field::word(&boot["BootSourceOverrideEnabled"]).unwrap_or(implied),
        target,
        mode: field::word(&boot["BootSourceOverrideMode"]),
        allowable: field::words(&boot["BootSourceOverrideTarget@Redfish.AllowableValues"]),
        allowable_modes: field::words(&boot["BootSourceOverrideMode@Redfish.AllowableValues"]),
        // A URI has a scheme (RFC 3986, section 3); sushy-emulator shows `None` where there is none.
        has_http_boot_uri: boot["HttpBootUri"].as_str().is_some_and(|uri| uri.contains(':')),
        order: boot_order(&boot["BootOrder"]),
    }
}

fn boot_order(order: &Value) -> Vec<String> {
    let entries = field::texts(order);
    let references = entries.iter().take(OPTIONS).map(|entry| quirks::boot_reference(entry));
    references.map(|reference| reference.chars().take(REFERENCE).collect()).collect()
}
