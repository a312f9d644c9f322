use crate::schema::{self, rule};
use k8s_openapi::ByteString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Credentials of BMCs, in the form of a core Secret.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "BMCSecret",
    root = "BmcSecret",
    plural = "bmcsecrets",
    shortname = "bmcsec",
    doc = "Credentials of a BMC, in the shape of a core Secret.",
    no_spec,
    derive = "PartialEq",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        &fixed("has(self.immutable) && self.immutable"),
        "immutable cannot be taken back: make another BMCSecret",
    ),
    rule(
        &fixed(
            "has(self.data) == has(oldSelf.data) && (!has(self.data) || self.data == oldSelf.data)"
        ),
        "data is fixed, because immutable is set: make another BMCSecret",
    ),
    rule(
        &fixed(
            "has(self.stringData) == has(oldSelf.stringData) \
             && (!has(self.stringData) || self.stringData == oldSelf.stringData)"
        ),
        "stringData is fixed, because immutable is set: make another BMCSecret",
    ),
]))]
pub struct BmcSecretSpec {
    /// Values, base64-encoded in the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::bytes")]
    pub data: Option<BTreeMap<String, ByteString>>,
    /// Values as text. Unlike those of a Secret, they are not merged into `data` by the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_data: Option<BTreeMap<String, String>>,
    /// Whether the values can no longer be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Type, as of a core Secret.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
}

/// A CEL rule that applies once the object is immutable.
fn fixed(rule: &str) -> String {
    format!("!has(oldSelf.immutable) || !oldSelf.immutable || ({rule})")
}

impl BmcSecretSpec {
    /// Key of the user name.
    pub const USERNAME: &str = "username";
    /// Key of the password.
    pub const PASSWORD: &str = "password";

    /// The value of a key in `data`, else in `stringData`; `None` if there is none or it is not
    /// UTF-8.
    pub fn value(&self, key: &str) -> Option<&str> {
        let bytes = self.data.as_ref().and_then(|data| data.get(key));
        match bytes {
            Some(bytes) => std::str::from_utf8(&bytes.0).ok(),
            None => self.string_data.as_ref()?.get(key).map(String::as_str),
        }
    }
}

/// Shows the keys, but not the values.
impl fmt::Debug for BmcSecretSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.data.as_ref().map(|data| data.keys().collect::<Vec<_>>());
        let text = self.string_data.as_ref().map(|data| data.keys().collect::<Vec<_>>());
        f.debug_struct("BmcSecretSpec")
            .field("data", &data)
            .field("string_data", &text)
            .field("immutable", &self.immutable)
            .field("type_", &self.type_)
            .finish()
    }
}
