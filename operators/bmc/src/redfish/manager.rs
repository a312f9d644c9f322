//! Reads the manager: the BMC itself.

use crate::{
    Error, quirks,
    redfish::collection,
    transport::{
        call::{Call, failed, is_fatal},
        field,
    },
};
use metal_api::{ParseSystemUuidError, SystemUuid};
use metal_core::redfish::ManagerReading;
use nv_redfish_quirks::BmcQuirks;
use serde_json::Value;

/// The BMC has no such manager.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("the service root has no link to Managers")]
    Collection,
    #[error("there is no manager")]
    Any,
    #[error("there is no manager with UUID {0}")]
    Uuid(String),
}

/// The manager with this UUID; without one, the first that is a BMC rather than, say, an enclosure
/// manager. A UUID that many boards are shipped with tells none from another, so it counts as none.
pub(crate) async fn manager(call: &Call<'_>, uuid: Option<&str>) -> Result<ManagerReading, Error> {
    let root = call.root().await?;
    let uuid = uuid.filter(|uuid| !is_placeholder(uuid));
    if let Some(manager) = of_system(call, &root.platform, uuid).await? {
        return Ok(manager);
    }
    let find = || "find the manager".to_owned();
    let Some(managers) = &root.managers else {
        return Err(failed(find(), Missing::Collection));
    };
    let mut members = collection::members(call, &root, managers, &mut vec![]).await?;
    members.retain(|member| quirks::is_manager(&root.platform, &member.uri));
    let (mut other, mut last) = (None, None);
    for member in members {
        match member.read(call).await {
            Ok((uri, body)) => {
                let manager = reading(uri, &body);
                if is_wanted(&body, uuid) {
                    return Ok(manager);
                }
                other = other.or(Some(manager));
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => last = Some(error),
        }
    }
    let missing = match uuid {
        Some(uuid) => Missing::Uuid(uuid.to_owned()),
        None => Missing::Any,
    };
    let other = other.filter(|_| uuid.is_none());
    other.ok_or_else(|| last.unwrap_or_else(|| failed(find(), missing)))
}

/// The manager that a system links to, if it is the wanted one, which saves reading the collection.
async fn of_system(
    call: &Call<'_>,
    platform: &BmcQuirks,
    uuid: Option<&str>,
) -> Result<Option<ManagerReading>, Error> {
    let uri = call.memory().manager().and_then(|link| Call::path(&link).ok());
    let Some(uri) = uri.filter(|uri| quirks::is_manager(platform, uri)) else { return Ok(None) };
    match call.get(&uri).await {
        Ok(resource) => {
            let manager = reading(uri, &resource.body);
            Ok(is_wanted(&resource.body, uuid).then_some(manager))
        }
        Err(error) if is_fatal(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

fn is_wanted(body: &Value, uuid: Option<&str>) -> bool {
    match uuid {
        Some(uuid) => field::text(&body["UUID"]).is_some_and(|own| is_same(&own, uuid)),
        None => matches!(body["ManagerType"].as_str(), None | Some("BMC")),
    }
}

/// Whether two texts are one UUID: as they are, since a BMC may have something that is none, or as
/// UUIDs in any notation and either byte order.
fn is_same(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<SystemUuid>().ok();
    one.eq_ignore_ascii_case(other.trim())
        || parsed(one).zip(parsed(other)).is_some_and(|(one, other)| one.is_same(other))
}

fn is_placeholder(uuid: &str) -> bool {
    matches!(uuid.parse::<SystemUuid>(), Err(ParseSystemUuidError::Placeholder(_)))
}

pub(crate) fn reading(uri: String, body: &Value) -> ManagerReading {
    let text = |name: &str| field::text(&body[name]);
    ManagerReading {
        uri,
        uuid: field::uuid(&body["UUID"]).map(|uuid| uuid.to_string()),
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        part_number: text("PartNumber"),
        serial_number: text("SerialNumber"),
        firmware_version: text("FirmwareVersion"),
        power: field::word(&body["PowerState"]).unwrap_or_default(),
        state: field::text(&body["Status"]["State"]),
        last_reset: field::time(&body["LastResetTime"]),
    }
}
