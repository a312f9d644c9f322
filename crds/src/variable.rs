//! Variables in BMC settings.

use crate::schema::rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that differs from BMC to BMC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Name by which settings and later variables refer to it.
    #[schemars(length(min = 1, max = 63))]
    pub key: String,
    /// Source of the value.
    pub value_from: VariableSource,
}

/// Source of a variable's value: exactly one of these.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(
        "(has(self.fieldRef) ? 1 : 0) + (has(self.objectFieldRef) ? 1 : 0) \
         + (has(self.configMapKeyRef) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) == 1",
        "exactly one of fieldRef, objectFieldRef, configMapKeyRef and secretKeyRef must be set",
    ),
    rule(
        "!has(self.objectFieldRef) || self.objectFieldRef.kind == 'BMC'",
        "objectFieldRef.kind must be BMC",
    ),
]))]
#[expect(clippy::struct_field_names, reason = "the fields have the names of the API")]
pub struct VariableSource {
    /// A field of the settings object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldReference>,
    /// A field of another object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_field_ref: Option<ObjectFieldReference>,
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
    /// A key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
}

/// A field of the object itself.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FieldReference {
    /// Path of the field.
    #[schemars(length(min = 1, max = 256))]
    pub field_path: String,
}

/// A field of another object.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFieldReference {
    /// Kind of the object.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Path of the field.
    #[schemars(length(min = 1, max = 256))]
    pub field_path: String,
}

/// A key of a ConfigMap or Secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReference {
    /// Namespace of the object.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
