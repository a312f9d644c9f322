//! `Manager` and `Chassis`.

use super::view::{View, enabled, link};
use crate::machine::Led;
use serde_json::{Value, json};

const URI: &str = "/redfish/v1/Managers/BMC";

/// `ResetType` of `Manager.Reset`.
pub(super) const RESET_TYPES: [&str; 2] = ["GracefulRestart", "ForceRestart"];

impl View<'_> {
    pub(super) fn manager(&self) -> Value {
        let hardware = &self.machine.hardware;
        json!({
            "@odata.id": URI,
            "@odata.type": "#Manager.v1_19_0.Manager",
            "Id": "BMC",
            "Name": "Manager",
            "ManagerType": "BMC",
            "UUID": hardware.bmc_uuid(),
            "Manufacturer": "Contoso",
            "Model": "CB-7",
            "PartNumber": "CB-7-002",
            "SerialNumber": format!("{}-B", hardware.serial()),
            "FirmwareVersion": "1.45.455",
            "PowerState": "On",
            "LastResetTime": self.state.bmc_last_reset,
            "GraphicalConsole": {
                "ServiceEnabled": true,
                "MaxConcurrentSessions": 2,
                "ConnectTypesSupported": ["KVMIP"],
            },
            "EthernetInterfaces": link(format!("{URI}/EthernetInterfaces")),
            "VirtualMedia": link(format!("{URI}/VirtualMedia")),
            "Links": {
                "ManagerForServers": self.of_each_system("Systems"),
                "ManagerForChassis": self.of_each_system("Chassis"),
                "ManagerInChassis": link(self.chassis_uri()),
            },
            "Status": enabled(),
            "Actions": { "#Manager.Reset": {
                "target": format!("{URI}/Actions/Manager.Reset"),
                "ResetType@Redfish.AllowableValues": RESET_TYPES,
            }},
        })
    }

    pub(super) fn manager_interface(&self) -> Value {
        let mac = self.machine.hardware.bmc_mac();
        let origin = if self.config.bmc_dhcp.is_some() { "DHCP" } else { "Static" };
        let addresses: Vec<_> = self
            .state
            .bmc_address
            .iter()
            .map(|address| json!({ "Address": address, "AddressOrigin": origin }))
            .collect();
        json!({
            "@odata.id": format!("{URI}/EthernetInterfaces/1"),
            "@odata.type": "#EthernetInterface.v1_12_0.EthernetInterface",
            "Id": "1",
            "Name": "BMC",
            "MACAddress": mac,
            "PermanentMACAddress": mac,
            "SpeedMbps": 1000,
            "FullDuplex": true,
            "InterfaceEnabled": true,
            "LinkStatus": "LinkUp",
            "IPv4Addresses": addresses,
            "Status": enabled(),
        })
    }

    pub(super) fn chassis(&self) -> Value {
        json!({
            "@odata.id": self.chassis_uri(),
            "@odata.type": "#Chassis.v1_25_0.Chassis",
            "Id": self.number().to_string(),
            "Name": "Chassis",
            "ChassisType": "RackMount",
            "Manufacturer": "Contoso",
            "Model": "CR-2000",
            "SerialNumber": self.machine.hardware.serial(),
            "PowerState": self.state.power.to_string(),
            "LocationIndicatorActive": self.state.led != Led::Off,
            "Drives": link(format!("{}/Drives", self.chassis_uri())),
            "Links": {
                "ComputerSystems": [link(self.system_uri())],
                "ManagedBy": [link(URI)],
            },
            "Status": enabled(),
        })
    }
}
