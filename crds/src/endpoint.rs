use crate::{MacAddr, schema};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A device on the out-of-band network.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "Endpoint",
    plural = "endpoints",
    shortname = "mep",
    doc = "A MAC address that was seen on the out-of-band network, and its IP address.",
    status = "EndpointStatus",
    derive = "PartialEq",
    printcolumn(name = "MACAddress", type_ = "string", json_path = ".spec.macAddress"),
    printcolumn(name = "IP", type_ = "string", json_path = ".spec.ip"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSpec {
    /// MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    /// IP address, version 4 or 6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
}

impl EndpointSpec {
    /// The MAC address, in any notation that [`MacAddr`] accepts. All binaries identify an Endpoint
    /// by it alone.
    pub fn mac(&self) -> Option<MacAddr> {
        self.mac_address.as_deref()?.parse().ok()
    }
}

/// What the metal-operator found at the address.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_one_however_it_is_written() {
        let mac = |text: &str| EndpointSpec { mac_address: Some(text.to_owned()), ip: None }.mac();
        let wanted = Some(MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]));
        for text in ["aabbcc000001", "AA-BB-CC-00-00-01", "aabb.cc00.0001", "aa:bb:cc:00:00:01"] {
            assert_eq!(mac(text), wanted, "{text}");
        }
        assert_eq!(mac("aabb:cc00:0001"), None);
        assert_eq!(EndpointSpec::default().mac(), None);
    }
}
