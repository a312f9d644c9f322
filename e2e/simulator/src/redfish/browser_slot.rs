//! The media slots of OpenBMC: one for a browser, and one that takes images.

use super::view::link;
use serde_json::{Value, json};

/// The collection of slots.
pub(super) const SLOTS: &str = "/redfish/v1/Managers/BMC/VirtualMedia";
/// The slot for a browser.
pub(super) const BROWSER_SLOT: &str = "/redfish/v1/Managers/BMC/VirtualMedia/Slot_0";

/// Lists the slot for a browser, or shows another one as OpenBMC does.
pub(super) fn speak_in_slots(body: &mut Value) {
    if let Some(members) = body["Members"].as_array_mut() {
        members.insert(0, link(BROWSER_SLOT));
        body["Members@odata.count"] = json!(members.len());
    } else if let Some(slot) = body.as_object_mut() {
        let image = slot.insert("Image".to_owned(), Value::Null);
        slot.insert("ImageName".to_owned(), image.unwrap_or_default());
        slot.remove("Inserted");
    }
}

/// A slot that takes what a browser sends.
pub(super) fn browser_slot() -> Value {
    let target = format!("{BROWSER_SLOT}/Actions/VirtualMedia.EjectMedia");
    json!({
        "@odata.id": BROWSER_SLOT,
        "Id": "Slot_0",
        "Name": "Virtual Removable Media",
        "Image": null,
        "ConnectedVia": "NotConnected",
        "Actions": {"#VirtualMedia.EjectMedia": {"target": target}},
    })
}
