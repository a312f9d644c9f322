//! How to communicate with a BMC.

use crate::text::{closed_enum, open_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Protocol and port on which a BMC is managed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Protocol {
    /// Management protocol.
    pub name: ProtocolName,
    /// TCP port of the BMC.
    pub port: i32,
    /// `http` or `https`; by default as configured in the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<ProtocolScheme>,
}

open_enum! {
    /// Management protocols of a BMC.
    #[derive(Default)]
    ProtocolName {
        /// Redfish (DSP0266).
        #[default]
        Redfish = "Redfish",
        /// Redfish of a simulated BMC, with simplified settings and firmware.
        RedfishLocal = "RedfishLocal",
        /// As `RedfishLocal`; the simulation registers the server itself.
        RedfishWithRegistryPatch = "RedfishWithRegistryPatch",
    }
}

open_enum! {
    /// URL scheme of a BMC.
    ProtocolScheme {
        /// Without TLS.
        Http = "http",
        /// With TLS.
        Https = "https",
    }
}

/// Protocol and port of the serial console.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsoleProtocol {
    /// Console protocol.
    pub name: ConsoleProtocolName,
    /// Port of the console.
    pub port: i32,
}

closed_enum! {
    /// Protocols of a serial console.
    ConsoleProtocolName {
        /// IPMI Serial over LAN.
        Ipmi = "IPMI",
        /// SSH.
        Ssh = "SSH",
        /// SSH, Lenovo variant.
        SshLenovo = "SSHLenovo",
    }
}
