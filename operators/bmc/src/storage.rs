//! Reading storage: `Storage` with its drives and volumes, or `SimpleStorage` in its place.

use crate::{Error, collection::Member, field, inventory::Survey};
use metal_core::redfish::{Drive, Storage, Volume};
use serde_json::Value;

/// The storage of a system. `SimpleStorage` is asked for only where `Storage` yields nothing.
pub(crate) async fn storages(
    survey: &mut Survey<'_>,
    system: &Value,
) -> Result<Vec<Storage>, Error> {
    let mut storages = vec![];
    for (uri, body) in survey.collection(&system["Storage"], "Storage").await? {
        let drives = Member::list(&body["Drives"], survey.call());
        let drives = survey.read(drives).await?;
        let volumes = survey.collection(&body["Volumes"], "Volumes").await?;
        storages.push(Storage {
            name: name(&uri, &body),
            state: state(&body),
            drives: drives.iter().map(|(uri, body)| drive(uri, body)).collect(),
            volumes: volumes.iter().map(|(uri, body)| volume(uri, body)).collect(),
        });
    }
    if storages.is_empty() {
        let simple = survey.collection(&system["SimpleStorage"], "SimpleStorage").await?;
        storages.extend(simple.iter().map(|(uri, body)| simple_storage(uri, body)));
    }
    Ok(storages)
}

fn simple_storage(uri: &str, body: &Value) -> Storage {
    let devices = body["Devices"].as_array().into_iter().flatten();
    let devices = devices.filter(|device| device.is_object());
    Storage {
        name: name(uri, body),
        state: state(body),
        drives: devices.map(|device| drive("", device)).collect(),
        volumes: vec![],
    }
}

fn drive(uri: &str, body: &Value) -> Drive {
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

fn volume(uri: &str, body: &Value) -> Volume {
    Volume {
        name: name(uri, body),
        capacity_bytes: field::unsigned(&body["CapacityBytes"]),
        raid_type: field::text(&body["RAIDType"]),
        usage: field::text(&body["VolumeUsage"]),
        state: state(body),
    }
}

/// `Name`; without one, `Id` or the last part of the URI.
fn name(uri: &str, body: &Value) -> String {
    field::text(&body["Name"]).or_else(|| field::text(&body["Id"])).unwrap_or_else(|| {
        uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    })
}

fn state(body: &Value) -> Option<String> {
    field::text(&body["Status"]["State"])
}
