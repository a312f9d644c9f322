//! Reads quantities that are written as numbers, which the schema allows.

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString};
use serde::{Deserialize, Deserializer};

/// Reads an optional quantity, `64Gi` as well as `1024`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Quantity>, D::Error> {
    Ok(Option::<IntOrString>::deserialize(from)?.map(|value| match value {
        IntOrString::Int(number) => Quantity(number.to_string()),
        IntOrString::String(text) => Quantity(text),
    }))
}
