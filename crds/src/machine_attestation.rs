use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Extension: what a machine has to prove before it gets a token; without it, that its endorsement key is the
/// one that was seen first.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineAttestation {
    /// SHA-256 of the machine's endorsement key (its SubjectPublicKeyInfo in DER), as 64 hexadecimal digits:
    /// no other key is taken, not even the first that is seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{64}$"))]
    pub ek_hash: Option<String>,
    /// What it may have booted, by platform configuration registers (PCRs) of its TPM: it has to present a
    /// quote of all of them. Without any, it may have booted anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["index"]))]
    pub pcrs: Vec<MachinePcr>,
}

/// A PCR, and its values that are allowed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachinePcr {
    /// Which PCR, from 0 to 23.
    #[schemars(range(min = 0, max = 23))]
    pub index: i32,
    /// Its values in the bank of SHA-256 that are allowed, each as 64 hexadecimal digits.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = "^[0-9A-Fa-f]{64}$")))]
    pub sha256: Vec<String>,
}

/// The TPM of a machine.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineTpmStatus {
    /// Its endorsement key, as PEM. It identifies the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ek_public_key: Option<String>,
    /// Extension: what was measured in the last boot that was allowed, by PCR. It decides nothing: a boot that
    /// is refused is compared with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["index"]))]
    pub measured: Vec<MachineMeasured>,
}

/// Extension: what was measured into a PCR.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineMeasured {
    /// Which PCR, from 0 to 23.
    #[schemars(range(min = 0, max = 23))]
    pub index: i32,
    /// The events in their order: the type of each, and the first 16 hexadecimal digits of its digest.
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub events: Vec<String>,
}
