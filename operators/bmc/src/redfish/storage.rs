//! Reads storage: `Storage` with its drives and volumes, or `SimpleStorage` in its place.

use crate::{
    Error,
    redfish::{collection::Member, survey::Survey},
    transport::field,
};
use metal_core::redfish::{Drive, Storage, Volume};
use serde_json::{Value, json};

/// More drives than any controller has.
const MOST: usize = 512;

/// The storage of a system. `SimpleStorage` is read only if `Storage` yields nothing.
pub(crate) async fn storages(
    survey: &mut Survey<'_>,
    system: &Value,
) -> Result<Vec<Storage>, Error> {
    let found = survey.collection(&system["Storage"], "Storage", Found::read).await?;
    let mut storages = vec![];
    for found in found {
        let drives = Member::list(&found.drives);
        let drives = survey.read(drives, drive).await?;
        let volumes = survey.collection(&found.volumes, "Volumes", volume).await?;
        storages.push(Storage { drives, volumes, ..found.storage });
    }
    if storages.is_empty() {
        let simple = &system["SimpleStorage"];
        return survey.collection(simple, "SimpleStorage", simple_storage).await;
    }
    Ok(storages)
}

/// A `Storage`, and the links to its parts.
struct Found {
    storage: Storage,
    drives: Value,
    volumes: Value,
}

impl Found {
    fn read(uri: &str, body: &Value) -> Self {
        let storage = Storage { name: name(uri, body), state: state(body), ..Storage::default() };
        // Keeps the links only: whatever else is there may be long.
        let link = |value: &Value| json!({"@odata.id": value["@odata.id"]});
        let drives = body["Drives"].as_array().into_iter().flatten();
        let drives = drives.take(MOST).map(link).collect();
        let volumes = if body["Volumes"].is_null() { Value::Null } else { link(&body["Volumes"]) };
        Self { storage, drives, volumes }
    }
}

pub(crate) fn simple_storage(uri: &str, body: &Value) -> Storage {
    let devices = body["Devices"].as_array().into_iter().flatten();
    let devices = devices.filter(|device| device.is_object()).take(MOST);
    Storage {
        name: name(uri, body),
        state: state(body),
        drives: devices.map(|device| drive("", device)).collect(),
        volumes: vec![],
    }
}

pub(crate) fn drive(uri: &str, body: &Value) -> Drive {
    Drive {
        name: name(uri, body),
        media_type: field::text(&body["MediaType"]),
        type_: field::text(&body["Protocol"]),
        capacity_bytes: field::unsigned(&body["CapacityBytes"]),
        vendor: field::text(&body["Manufacturer"]),
        model: field::text(&body["Model"]),
        state: state(body),
    }
}

pub(crate) fn volume(uri: &str, body: &Value) -> Volume {
    Volume {
        name: name(uri, body),
        capacity_bytes: field::unsigned(&body["CapacityBytes"]),
        raid_type: field::text(&body["RAIDType"]),
        usage: field::text(&body["VolumeUsage"]),
        state: state(body),
    }
}

/// `Name`; without one, `Id` or the last segment of the URI.
fn name(uri: &str, body: &Value) -> String {
    field::text(&body["Name"]).or_else(|| field::text(&body["Id"])).unwrap_or_else(|| {
        uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    })
}

fn state(body: &Value) -> Option<String> {
    field::text(&body["Status"]["State"])
}
