use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An address that somebody has. netboot writes it; what it says counts for the other instance of
/// netboot, and for people.
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
    /// Who has it: a MAC address, or `id-` and the client's identifier in hexadecimal.
    pub client: String,
    /// The name that is reserved for the client together with the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// In which way.
    pub state: DhcpLeaseState,
    /// Nobody else gets the address before. It is not the end of the lease: renewals are not
    /// written until it comes near, and the object is removed when the lease ends.
    pub held_until: Time,
}

impl DhcpLease {
    /// The name of the object of an address. A name has no colons and does not end with a hyphen, so
    /// an IPv6 address is written out.
    pub fn name_of(address: IpAddr) -> String {
        match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => address.segments().map(|it| format!("{it:04x}")).join("-"),
        }
    }

    /// The address, if that is what the name says as well.
    pub fn address(&self) -> Option<IpAddr> {
        let address = self.spec.ip.parse().ok()?;
        (self.metadata.name.as_deref() == Some(Self::name_of(address).as_str())).then_some(address)
    }
}

/// The state of a lease.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DhcpLeaseState {
    /// Its client has the address.
    Bound,
    /// Somebody else was found to use the address, which rests.
    Declined,
}
