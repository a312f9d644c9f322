use crate::{
    LocalObjectReference, Power, Toleration,
    schema::{self, immutable, rule},
    text::open_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which server a tenant wants, and what it should boot.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "ServerClaim",
    plural = "serverclaims",
    shortname = "scl",
    namespaced,
    doc = "A tenant's wish for one server.",
    status = "ServerClaimStatus",
    derive = "PartialEq",
    printcolumn(name = "Server", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(name = "Ignition", type_ = "string", json_path = ".spec.ignitionSecretRef.name"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("!has(oldSelf.serverRef) || has(self.serverRef)", "serverRef cannot be removed"),
    rule(
        "!has(oldSelf.serverSelector) || has(self.serverSelector)",
        "serverSelector cannot be removed",
    ),
]))]
pub struct ServerClaimSpec {
    /// Desired power state.
    pub power: Power,
    /// The server that is requested, or that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverRef")))]
    pub server_ref: Option<LocalObjectReference>,
    /// Labels of the servers to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverSelector")))]
    pub server_selector: Option<LabelSelector>,
    /// Secret with the ignition, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignition_secret_ref: Option<LocalObjectReference>,
    /// Secret with the user data for the metadata service, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data_ref: Option<LocalObjectReference>,
    /// OCI image with the operating system.
    pub image: String,
    /// Taints that the claim tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
}

/// Progress of the claim.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerClaimStatus {
    /// Whether the claim holds a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClaimPhase>,
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

open_enum! {
    /// Whether a claim holds a server.
    ClaimPhase {
        /// No server yet.
        Unbound = "Unbound",
        /// It holds a server.
        Bound = "Bound",
    }
}
