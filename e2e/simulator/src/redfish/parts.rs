//! Processors, memory, storage and NICs of a system.

use super::view::{View, collection, enabled, link};
use crate::hardware::{Drive, SOCKETS};
use serde_json::{Value, json};

impl View<'_> {
    /// A collection of the system.
    fn part(&self, name: &str) -> String {
        format!("{}/{name}", self.system_uri())
    }

    fn drives_uri(&self) -> String {
        format!("{}/Drives", self.chassis_uri())
    }

    pub(super) fn processors(&self) -> Value {
        collection("Processors", "Processor", &self.part("Processors"), 1..=SOCKETS)
    }

    pub(super) fn processor(&self, number: u32) -> Option<Value> {
        let cpu = self.machine.hardware.cpu();
        (number <= SOCKETS).then(|| {
            json!({
                "@odata.id": format!("{}/{number}", self.part("Processors")),
                "@odata.type": "#Processor.v1_19_0.Processor",
                "Id": number.to_string(),
                "Name": format!("CPU {number}"),
                "Socket": format!("CPU{number}"),
                "ProcessorType": "CPU",
                "ProcessorArchitecture": "x86",
                "InstructionSet": "x86-64",
                "Manufacturer": cpu.manufacturer,
                "Model": cpu.model,
                "MaxSpeedMHz": cpu.max_mhz,
                "TotalCores": cpu.cores,
                "TotalThreads": cpu.threads,
                "Status": enabled(),
            })
        })
    }

    pub(super) fn memory_modules(&self) -> Value {
        let count = self.machine.hardware.dimms().len();
        collection("Memory", "Memory", &self.part("Memory"), 1..=count)
    }

    pub(super) fn memory_module(&self, number: u32) -> Option<Value> {
        let dimms = self.machine.hardware.dimms();
        let dimm = dimms.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        Some(json!({
            "@odata.id": format!("{}/{number}", self.part("Memory")),
            "@odata.type": "#Memory.v1_19_0.Memory",
            "Id": number.to_string(),
            "Name": format!("DIMM {number}"),
            "MemoryType": "DRAM",
            "MemoryDeviceType": "DDR5",
            "BaseModuleType": "RDIMM",
            "CapacityMiB": dimm.mib,
            "OperatingSpeedMhz": dimm.mts,
            "ErrorCorrection": "MultiBitECC",
            "Manufacturer": "Hynix Semiconductor",
            "SerialNumber": format!("{:08X}", dimm.serial),
            "PartNumber": "HMCG94AEBRA102N",
            "Location": { "PartLocation": {
                "LocationType": "Slot", "ServiceLabel": format!("DIMM_{}", dimm.slot),
            }},
            "Status": enabled(),
        }))
    }

    pub(super) fn storages(&self) -> Value {
        collection("Storage", "Storage", &self.part("Storage"), [1])
    }

    pub(super) fn volumes(&self) -> Value {
        collection("Volume", "Volume", &self.part("Storage/1/Volumes"), [1])
    }

    pub(super) fn storage(&self) -> Value {
        let drives = self.drives()["Members"].take();
        json!({
            "@odata.id": self.part("Storage/1"),
            "@odata.type": "#Storage.v1_15_0.Storage",
            "Id": "1",
            "Name": "NVMe Storage",
            "Drives@odata.count": drives.as_array().map(Vec::len),
            "Drives": drives,
            "Volumes": link(self.part("Storage/1/Volumes")),
            "Status": enabled(),
        })
    }

    pub(super) fn drives(&self) -> Value {
        let count = self.machine.hardware.drives().len();
        collection("Drives", "Drive", &self.drives_uri(), 1..=count)
    }

    pub(super) fn drive(&self, number: u32) -> Option<Value> {
        let drives = self.machine.hardware.drives();
        let drive = drives.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        Some(json!({
            "@odata.id": format!("{}/{number}", self.drives_uri()),
            "@odata.type": "#Drive.v1_19_0.Drive",
            "Id": number.to_string(),
            "Name": format!("Drive {}", drive.bay),
            "MediaType": "SSD",
            "Protocol": "NVMe",
            "CapacityBytes": drive.bytes,
            "BlockSizeBytes": 4096,
            "Manufacturer": drive.manufacturer,
            "Model": drive.model,
            "SerialNumber": drive.serial(),
            "Identifiers": [{ "DurableName": drive.durable_name(), "DurableNameFormat": "EUI" }],
            "Status": enabled(),
        }))
    }

    pub(super) fn volume(&self) -> Option<Value> {
        let drives = self.machine.hardware.drives();
        let first: &Drive = drives.first()?;
        let members = [1, 2].map(|drive| link(format!("{}/{drive}", self.drives_uri())));
        Some(json!({
            "@odata.id": self.part("Storage/1/Volumes/1"),
            "@odata.type": "#Volume.v1_9_0.Volume",
            "Id": "1",
            "Name": "OS",
            "CapacityBytes": first.bytes,
            "BlockSizeBytes": 4096,
            "RAIDType": "RAID1",
            "VolumeUsage": "Data",
            "Links": { "Drives": members },
            "Status": enabled(),
        }))
    }

    pub(super) fn interfaces(&self) -> Value {
        let count = self.machine.hardware.nics().len();
        let uri = self.part("EthernetInterfaces");
        collection("Ethernet Interfaces", "EthernetInterface", &uri, 1..=count)
    }

    pub(super) fn interface(&self, number: u32) -> Option<Value> {
        let nics = self.machine.hardware.nics();
        let nic = nics.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        Some(json!({
            "@odata.id": format!("{}/{number}", self.part("EthernetInterfaces")),
            "@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface",
            "Id": number.to_string(),
            "Name": format!("Port {}", nic.port),
            "MACAddress": nic.mac,
            "PermanentMACAddress": nic.mac,
            "SpeedMbps": nic.mbps,
            "FullDuplex": true,
            "InterfaceEnabled": true,
            "LinkStatus": "LinkUp",
            "Status": enabled(),
        }))
    }
}
