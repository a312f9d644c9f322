//! What a typical BMC serves.

use serde_json::{Value, json};

/// The system of [`documents`].
pub(crate) const SYSTEM: &str = "/redfish/v1/Systems/1";

/// The documents of one typical machine: two processors, a storage with two drives and a volume,
/// two NICs, a manager.
pub(crate) fn documents() -> Value {
    let id = |path: &str| json!({"@odata.id": path});
    let members =
        |paths: &[&str]| json!({"Members": paths.iter().map(|path| id(path)).collect::<Vec<_>>()});
    let in_system = |part: &str| format!("{SYSTEM}/{part}");
    json!({
        "/redfish/v1/": {
            "RedfishVersion": "1.15.0",
            "Systems": id("/redfish/v1/Systems"),
            "Managers": id("/redfish/v1/Managers"),
            "SessionService": id("/redfish/v1/SessionService"),
            "Links": {"Sessions": id("/redfish/v1/SessionService/Sessions")},
        },
        "/redfish/v1/Systems": members(&[SYSTEM]),
        SYSTEM: system(),
        in_system("Processors"): members(&[&in_system("Processors/CPU1"), &in_system("Processors/CPU2")]),
        in_system("Processors/CPU1"): processor("CPU1"),
        in_system("Processors/CPU2"): processor("CPU2"),
        in_system("Storage"): members(&[&in_system("Storage/1")]),
        in_system("Storage/1"): {
            "Id": "1", "Name": "RAID controller", "Status": {"State": "Enabled"},
            "Drives": [id("/redfish/v1/Chassis/1/Drives/0"), id("/redfish/v1/Chassis/1/Drives/1")],
            "Volumes": id(&in_system("Storage/1/Volumes")),
        },
        "/redfish/v1/Chassis/1/Drives/0": drive("Disk 0"),
        "/redfish/v1/Chassis/1/Drives/1": drive("Disk 1"),
        in_system("Storage/1/Volumes"): members(&[&in_system("Storage/1/Volumes/1")]),
        in_system("Storage/1/Volumes/1"): {
            "Id": "1", "Name": "Mirror", "CapacityBytes": 480_000_000_000_u64, "RAIDType": "RAID1",
            "Status": {"State": "Enabled"},
        },
        in_system("EthernetInterfaces"):
            members(&[&in_system("EthernetInterfaces/1"), &in_system("EthernetInterfaces/2")]),
        in_system("EthernetInterfaces/1"): {
            "Id": "1", "MACAddress": "AA:BB:CC:00:00:01", "PermanentMACAddress": "AA-BB-CC-00-00-01",
            "LinkStatus": "LinkUp",
        },
        in_system("EthernetInterfaces/2"): {"Id": "2", "MACAddress": "AA:BB:CC:00:00:02"},
        "/redfish/v1/Managers": members(&["/redfish/v1/Managers/EM", "/redfish/v1/Managers/BMC"]),
        "/redfish/v1/Managers/EM": {"Id": "EM", "ManagerType": "EnclosureManager"},
        "/redfish/v1/Managers/BMC": {
            "Id": "BMC", "ManagerType": "BMC", "UUID": "58893887-8974-2487-2389-841168418919",
            "FirmwareVersion": "1.45", "PartNumber": "P-1", "Status": {"State": "Enabled"},
            "Actions": {"#Manager.Reset": {"target": "/redfish/v1/Managers/BMC/Reset"}},
        },
    })
}

fn system() -> Value {
    json!({
        "@odata.id": SYSTEM,
        "Id": "1",
        "UUID": "38947555-7742-3448-3784-82334782383A",
        "SerialNumber": "SN 1", "Manufacturer": "Contoso", "Model": "3500", "SKU": "8675309",
        "BiosVersion": "P79", "PowerState": "Off", "IndicatorLED": "Off",
        "MemorySummary": {"TotalSystemMemoryGiB": 96},
        "LastResetTime": "2026-01-02T03:04:05+00:00",
        "Boot": {
            "BootSourceOverrideEnabled": "Disabled",
            "BootSourceOverrideTarget": "None",
            "BootSourceOverrideMode": "Legacy",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Usb", "UefiHttp"],
            "BootSourceOverrideMode@Redfish.AllowableValues": ["UEFI", "Legacy"],
            "BootOrder": ["Boot0001", "Boot0002"],
        },
        "Actions": {"#ComputerSystem.Reset": {
            "target": "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset",
            "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "Nmi"],
        }},
        "Processors": {"@odata.id": "/redfish/v1/Systems/1/Processors"},
        "Storage": {"@odata.id": "/redfish/v1/Systems/1/Storage"},
        "EthernetInterfaces": {"@odata.id": "/redfish/v1/Systems/1/EthernetInterfaces"},
    })
}

fn processor(id: &str) -> Value {
    json!({
        "Id": id, "ProcessorType": "CPU", "ProcessorArchitecture": "x86", "InstructionSet": "x86-64",
        "Manufacturer": "Contoso", "Model": "Mighty", "MaxSpeedMHz": 3700, "TotalCores": 8,
        "TotalThreads": 16,
    })
}

fn drive(name: &str) -> Value {
    json!({
        "Id": name, "Name": name, "MediaType": "SSD", "Protocol": "NVMe",
        "CapacityBytes": 480_000_000_000_u64, "Manufacturer": "Contoso", "Model": "Fast",
        "Status": {"State": "Enabled"},
    })
}

/// Changes a document as a PATCH does.
pub(crate) fn merge(document: &mut Value, change: &Value) {
    match change {
        Value::Object(change) => {
            for (name, value) in change {
                merge(&mut document[name], value);
            }
        }
        value => document.clone_from(value),
    }
}
