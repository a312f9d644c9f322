//! Taints of a server, and claims that tolerate them.

use crate::text::closed_enum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps claims away from a server unless they tolerate it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Key of the taint.
    #[schemars(length(min = 1))]
    pub key: String,
    /// Value of the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Effect on claims that do not tolerate the taint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "NoBind"))]
    pub effect: Option<TaintEffect>,
}

impl Taint {
    /// Key of the taint of a server that nobody has admitted yet. No claim can tolerate it, as
    /// tenants write their own tolerations.
    pub const NOT_ADMITTED: &str = "bloomery.dev/not-admitted";
}

closed_enum! {
    /// Effect of a taint on claims that do not tolerate it.
    #[derive(Default)]
    TaintEffect {
        /// They are not bound to the server.
        #[default]
        NoBind = "NoBind",
        /// They are not bound, and those that are bound should leave.
        Evict = "Evict",
    }
}

/// A taint that a claim tolerates.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Key of the taint.
    #[schemars(length(min = 1))]
    pub key: String,
    /// How the value is compared; `Equal` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint, for `Equal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Effect of the taint; by default any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
}

closed_enum! {
    /// How a toleration compares values.
    #[derive(Default)]
    TolerationOperator {
        /// The values are equal.
        #[default]
        Equal = "Equal",
        /// Any value matches.
        Exists = "Exists",
    }
}

impl Toleration {
    /// Whether this toleration matches the taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.key == taint.key
            && self.effect.is_none_or(|effect| effect == taint.effect.unwrap_or_default())
            && match self.operator.unwrap_or_default() {
                TolerationOperator::Exists => true,
                TolerationOperator::Equal => {
                    self.value.as_deref().unwrap_or_default()
                        == taint.value.as_deref().unwrap_or_default()
                }
            }
    }
}
