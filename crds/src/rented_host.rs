//! `Host`: a rented server. The module is not called `host`, which is the operating system of a server.

use crate::{
    HostHardware,
    boot_token::IMAGE,
    schema::{self, rule},
    text::closed_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A machine that is known by its key, and the release that it is to run.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bloomery.dev",
    version = "v1alpha1",
    kind = "Host",
    plural = "hosts",
    namespaced,
    doc = "A machine that is known by its key, and the release that it is to run.",
    status = "HostStatus",
    derive = "PartialEq",
    printcolumn(name = "Release", type_ = "string", json_path = ".spec.activeRelease"),
    printcolumn(name = "Running", type_ = "string", json_path = ".status.runningRelease"),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".status.runningImage",
        priority = 1
    ),
    printcolumn(name = "LastSeen", type_ = "date", json_path = ".status.lastSeen"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct HostSpec {
    /// Its public key: ECDSA with P-256, as PEM (RFC 7468, section 13). The host proves with it who
    /// it is, and configurations are encrypted to it.
    #[schemars(length(max = 512))]
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self == oldSelf", "publicKey is immutable: another key is another host"),
        rule(
            "self.startsWith('-----BEGIN PUBLIC KEY-----\\n')",
            "publicKey must be PEM that begins with -----BEGIN PUBLIC KEY-----",
        ),
    ]))]
    pub public_key: String,
    /// Name of the HostRelease that it is to run, in the same namespace. An earlier one is a
    /// rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub active_release: Option<String>,
}

/// What is known of the host.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HostStatus {
    /// When it last reported; kept to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// The address from which it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The image that it runs, as it says; until it does, the one that was installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_image: Option<String>,
    /// The release that it runs, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_release: Option<String>,
    /// Name of the HostRelease that the condition `ReleaseActive` is about, as the host says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_release: Option<String>,
    /// `metadata.uid` of the HostRelease that the condition `ReleaseActive` is about, as the host says.
    #[serde(rename = "reportedReleaseUID", skip_serializing_if = "Option::is_none")]
    pub reported_release_uid: Option<String>,
    /// The release that was seen in `spec.activeRelease` last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_release: Option<String>,
    /// The last release before that which has run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_release: Option<String>,
    /// What it said about itself when it registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<HostHardware>,
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// An image with the configuration of one host. Nothing in it can be changed: a change is another
/// release.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bloomery.dev",
    version = "v1alpha1",
    kind = "HostRelease",
    plural = "hostreleases",
    shortname = "hrel",
    namespaced,
    doc = "An image with the configuration of one host, encrypted to its key.",
    derive = "PartialEq",
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.hostName"),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("self == oldSelf", "a release is immutable: create another one"),
]))]
pub struct HostReleaseSpec {
    /// Name of the Host that it is for, in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    pub host_name: String,
    /// Bootable container image (bootc), with its digest.
    #[schemars(regex(pattern = IMAGE), length(max = 512))]
    pub image: String,
    /// Configuration, which only the host can decrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<SealedConfiguration>,
}

closed_enum! {
    /// How a configuration is encrypted.
    Sealing {
        /// ECDH with P-256, HKDF with SHA-256, AES-256-GCM; docs/hosts.md has every byte.
        P256HkdfSha256Aes256Gcm = "P256-HKDF-SHA256-AES256GCM",
    }
}

/// A configuration that only the holder of a key can read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct SealedConfiguration {
    /// How it is encrypted.
    pub algorithm: Sealing,
    /// The encrypted configuration, in base64 (RFC 4648, section 4).
    #[schemars(length(min = 4, max = 200_000), regex(pattern = "^[A-Za-z0-9+/]+={0,2}$"))]
    pub ciphertext: String,
}
