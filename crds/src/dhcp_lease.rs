use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An IP address in use, as leased or reserved by DHCP. Written by netboot, for its other instance
/// and for people.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[kube(
    group = "bloomery.dev",
    version = "v1alpha1",
    kind = "DHCPLease",
    root = "DhcpLease",
    plural = "dhcpleases",
    shortname = "dhcplease",
    doc = "An address that netboot has given out. There is one object per address, named after it.",
    derive = "PartialEq",
    printcolumn(name = "IP", type_ = "string", json_path = ".spec.ip"),
    printcolumn(name = "Client", type_ = "string", json_path = ".spec.client"),
    printcolumn(name = "Hostname", type_ = "string", json_path = ".spec.hostname"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "HeldUntil", type_ = "string", json_path = ".spec.heldUntil"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DhcpLeaseSpec {
    /// IP address, version 4 or 6.
    pub ip: String,
    /// The client that has it: a MAC address, or `id-` and the client identifier in hexadecimal.
    pub client: String,
    /// The host name that is reserved for the client together with the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// State of the lease.
    pub state: DhcpLeaseState,
    /// The address is given to nobody else before this time. This is not the end of the lease:
    /// renewals are written only shortly before it, and the object is removed when the lease ends.
    pub held_until: Time,
}

impl DhcpLease {
    /// The name of the object for an address. IPv6 addresses are written in full, because a name
    /// may neither contain colons nor end with a hyphen.
    pub fn name_of(address: IpAddr) -> String {
        match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => address.segments().map(|it| format!("{it:04x}")).join("-"),
        }
    }

    /// The address, if it agrees with the object's name.
    pub fn address(&self) -> Option<IpAddr> {
        let address = self.spec.ip.parse().ok()?;
        (self.metadata.name.as_deref() == Some(Self::name_of(address).as_str())).then_some(address)
    }
}

/// The state of a lease.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpLeaseState {
    /// The client has the address.
    Bound,
    /// Another host was found to be using the address, so it is given to nobody for now.
    Declined,
}
