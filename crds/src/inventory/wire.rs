//! The definition that all records of the report share.

use serde::{Deserialize, Deserializer};

/// A record in which every field is optional, `null` counts as missing, and unknown fields are
/// kept.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty = $json:literal,)+ }) => {
        $(#[$meta])*
        #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(rename = $json, default)]
                #[serde(deserialize_with = "crate::inventory::wire::nullable")]
                #[serde(skip_serializing_if = "crate::inventory::wire::is_default")]
                pub $field: $type,
            )+
            /// Fields that this version does not know.
            #[serde(flatten)]
            #[schemars(skip)]
            pub extra: std::collections::BTreeMap<String, serde_json::Value>,
        }
    };
}

pub(crate) use wire;

/// Reads `null` as the default value.
pub(crate) fn nullable<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Whether the value is the default, and so need not be written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
