//! Reads the parts of a system. A part that is missing or broken does not affect the others.

use crate::{
    Error,
    redfish::{storage, survey::Survey},
    transport::{call::Call, field},
};
use metal_core::redfish::{Inventory, Processor};
use serde_json::Value;

/// The parts of one system.
pub(crate) async fn inventory(call: Call<'_>, uri: &str) -> Result<Inventory, Error> {
    let root = call.root().await?;
    let system = match call.memory().take_parts_of(uri) {
        Some(parts) => parts,
        None => call.get(uri).await?.body,
    };
    let mut survey = Survey::new(call, root);
    let processors = survey.collection(&system["Processors"], "Processors", processor).await?;
    let storages = storage::storages(&mut survey, &system).await?;
    Ok(Inventory { processors, storages, missing: survey.finish() })
}

/// `Id`, or the last segment of the URI in its place.
fn id(uri: &str, body: &Value) -> String {
    field::text(&body["Id"]).unwrap_or_else(|| {
        uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
    })
}

pub(crate) fn processor(uri: &str, body: &Value) -> Processor {
    let text = |name: &str| field::text(&body[name]);
    Processor {
        id: id(uri, body),
        type_: text("ProcessorType"),
        architecture: text("ProcessorArchitecture"),
        instruction_set: text("InstructionSet"),
        manufacturer: text("Manufacturer"),
        model: text("Model"),
        max_speed_mhz: field::unsigned32(&body["MaxSpeedMHz"]),
        total_cores: field::unsigned32(&body["TotalCores"]),
        total_threads: field::unsigned32(&body["TotalThreads"]),
    }
}
