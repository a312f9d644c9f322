use crate::schema::rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Extension: which disk is installed to. All that is said here has to hold, and for exactly one disk;
/// otherwise nothing is written.
///
/// Texts are such that they can stand in a JSON string as they are: templates of images quote them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "!has(self.minSizeGiB) || !has(self.maxSizeGiB) || self.minSizeGiB <= self.maxSizeGiB",
        "minSizeGiB must not be above maxSizeGiB",
    ),
]))]
pub struct MachineTargetDisk {
    /// Its serial number, as it reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[schemars(regex(pattern = SERIAL))]
    pub serial: Option<String>,
    /// Its World Wide Name: hexadecimal digits, and `0x`, `naa.` or `eui.` in front or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[schemars(regex(pattern = "^[0-9A-Za-z][0-9A-Za-z.:-]*$"))]
    pub wwn: Option<String>,
    /// Its least size in GiB (2^30 bytes).
    #[serde(rename = "minSizeGiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub min_size_gib: Option<i64>,
    /// Its greatest size in GiB (2^30 bytes).
    #[serde(rename = "maxSizeGiB", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_size_gib: Option<i64>,
    /// Whether it has platters that turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotational: Option<bool>,
}

/// A disk that was installed to, as its installer has told it. Without a serial number and a World Wide Name nobody
/// could find it again, and nothing is recorded.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MachineInstalledDisk {
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub serial: Option<String>,
    /// Its World Wide Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub wwn: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub model: Option<String>,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
}

/// Printable ASCII without quotation marks and backslashes, and without space at its ends.
const SERIAL: &str = r"^[!#-\[\]-~]([ !#-\[\]-~]*[!#-\[\]-~])?$";
