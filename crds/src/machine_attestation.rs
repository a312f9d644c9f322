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
}
