use crate::{
    Taint,
    schema::{self, immutable, rule},
    text::closed_enum,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Conditions that servers must have before a taint is removed.
#[derive(CustomResource, Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "metal.ironcore.dev",
    version = "v1alpha1",
    kind = "ServerReadinessRule",
    plural = "serverreadinessrules",
    doc = "A taint that servers carry until they have certain conditions.",
    status = "ServerReadinessRuleStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ServerReadinessRuleSpec {
    /// Required conditions; all must be met.
    #[schemars(length(min = 1, max = 32))]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-validations" = immutable("conditions")
    ))]
    pub conditions: Vec<RequiredCondition>,
    /// Whether the taint can come back.
    #[schemars(extend("x-kubernetes-validations" = immutable("enforcementMode")))]
    pub enforcement_mode: EnforcementMode,
    /// The taint that is removed.
    #[schemars(extend("x-kubernetes-validations" = [
        rule("self.key.size() <= 253", "taint.key must have at most 253 characters"),
        rule("!has(oldSelf.key) || self.key == oldSelf.key", "taint.key is immutable"),
        rule("!has(oldSelf.effect) || self.effect == oldSelf.effect", "taint.effect is immutable"),
        rule("!has(oldSelf.value) || self.value == oldSelf.value", "taint.value is immutable"),
    ]))]
    pub taint: Taint,
    /// Labels of the servers that the rule applies to.
    #[schemars(schema_with = "schema::label_selector")]
    #[schemars(extend("x-kubernetes-validations" = immutable("serverSelector")))]
    pub server_selector: LabelSelector,
}

/// A condition that a server must have.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequiredCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// Status that the condition must have.
    pub required_status: RequiredStatus,
}

closed_enum! {
    /// Status of a condition.
    RequiredStatus {
        /// `True`.
        True = "True",
        /// `False`.
        False = "False",
        /// `Unknown`.
        Unknown = "Unknown",
    }
}

closed_enum! {
    /// Whether a rule applies once or continuously.
    #[derive(Default)]
    EnforcementMode {
        /// Once the conditions were met, the rule no longer applies to the server.
        BootstrapOnly = "BootstrapOnly",
        /// The taint comes back when a condition is no longer met.
        #[default]
        Continuous = "Continuous",
    }
}

/// State of the rule.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct ServerReadinessRuleStatus {
    /// Standard conditions, one per type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
