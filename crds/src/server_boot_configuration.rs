use crate::{LocalObjectReference, schema, text::open_enum};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The image and ignition that a server boots.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "ServerBootConfiguration",
    plural = "serverbootconfigurations",
    shortname = "sbc",
    namespaced,
    doc = "Which image and ignition a server boots.",
    status = "ServerBootConfigurationStatus",
    derive = "PartialEq",
    printcolumn(name = "ServerRef", type_ = "string", json_path = ".spec.serverRef.name"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(
        name = "IgnitionRef",
        type_ = "string",
        json_path = ".spec.ignitionSecretRef.name"
    ),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ServerBootConfigurationSpec {
    /// Server that boots.
    pub server_ref: LocalObjectReference,
    /// OCI image with the operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Secret with the ignition, in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignition_secret_ref: Option<LocalObjectReference>,
}

/// Whether the server can boot. Written by boot-operator.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServerBootConfigurationStatus {
    /// Whether everything that the server fetches is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<BootState>,
    /// `metadata.generation` this status was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

open_enum! {
    /// Whether what a machine fetches at boot is ready.
    BootState {
        /// Not yet.
        Pending = "Pending",
        /// Ready.
        Ready = "Ready",
        /// It cannot be made ready.
        Error = "Error",
    }
}
