//! `ComputerSystem` and its `Boot`.

use super::view::{View, link};
use crate::{
    boot_settings::BootTarget,
    hardware::SOCKETS,
    machine::{Host, Led},
    power::{Power, Reset},
};
use serde_json::{Value, json};
use strum::VariantArray;

impl View<'_> {
    pub(super) fn system(&self) -> Value {
        let hardware = &self.machine.hardware;
        let cpu = hardware.cpu();
        let uri = self.system_uri();
        let part = |name| link(format!("{uri}/{name}"));
        json!({
            "@odata.id": uri,
            "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem",
            "Id": self.number().to_string(),
            "Name": "System",
            "SystemType": "Physical",
            "Manufacturer": "Contoso",
            "Model": "CR-2000",
            "SKU": "CR-2000-A",
            "SerialNumber": hardware.serial(),
            "UUID": hardware.uuid(),
            "BiosVersion": "2.14.1",
            "PowerState": self.state.power.to_string(),
            "LastResetTime": self.state.last_reset,
            "IndicatorLED": self.state.led.to_string(),
            "LocationIndicatorActive": self.state.led != Led::Off,
            "BootProgress": { "LastState": self.boot_progress() },
            "Status": {
                "State": if self.state.power == Power::Off { "StandbyOffline" } else { "Enabled" },
                "Health": "OK",
            },
            "ProcessorSummary": {
                "Count": SOCKETS,
                "Model": cpu.model,
                "CoreCount": cpu.cores * SOCKETS,
                "LogicalProcessorCount": cpu.threads * SOCKETS,
            },
            "MemorySummary": { "TotalSystemMemoryGiB": hardware.memory_mib() / 1024 },
            "Boot": self.boot(),
            "Processors": part("Processors"),
            "Memory": part("Memory"),
            "Storage": part("Storage"),
            "EthernetInterfaces": part("EthernetInterfaces"),
            "Links": {
                "Chassis": [link(self.chassis_uri())],
                "ManagedBy": [link("/redfish/v1/Managers/BMC")],
            },
            "Actions": { "#ComputerSystem.Reset": {
                "target": format!("{uri}/Actions/ComputerSystem.Reset"),
                "ResetType@Redfish.AllowableValues": words(Reset::VARIANTS),
            }},
        })
    }

    fn boot_progress(&self) -> Option<&'static str> {
        match self.state.host {
            Host::Off => Some("None"),
            Host::Firmware | Host::Failed { .. } => Some("SystemHardwareInitializationComplete"),
            Host::Disk | Host::Discovery { .. } | Host::Tenant { .. } => Some("OSRunning"),
            // The simulator does not know how far its firmware is.
            Host::Vm { .. } => None,
        }
    }

    fn boot(&self) -> Value {
        let (boot, profile) = (&self.state.boot, &self.config.profile);
        let mut value = json!({
            "BootSourceOverrideEnabled": boot.enabled.to_string(),
            "BootSourceOverrideEnabled@Redfish.AllowableValues": ["Disabled", "Once", "Continuous"],
            "BootSourceOverrideTarget": boot.target.to_string(),
            "BootSourceOverrideTarget@Redfish.AllowableValues": words(&profile.boot_targets),
            "BootOrder": words(&boot.order),
            "BootOptions": link(self.boot_options_uri()),
        });
        if !profile.boot_modes.is_empty() {
            value["BootSourceOverrideMode"] = json!(boot.mode.to_string());
            value["BootSourceOverrideMode@Redfish.AllowableValues"] =
                json!(words(&profile.boot_modes));
        }
        if profile.boot_targets.contains(&BootTarget::UefiHttp) {
            value["HttpBootUri"] = json!(boot.http_boot_uri);
        }
        value
    }
}

fn words<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
