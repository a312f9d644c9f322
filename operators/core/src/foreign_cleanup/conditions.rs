//! Conditions that only ironcore's operators keep up. Here they would forever say what was true
//! once. Those of third parties stay, whatever their types are.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Those of a Server. What they say is in the reasons of `Ready`.
const OF_SERVER: [&str; 2] = ["PoweringOn", "WaitingForPowerOff"];
/// Those of a BMC.
const OF_BMC: [&str; 1] = ["Reset"];

pub(crate) fn drop_conditions_of_server(conditions: &mut Vec<Condition>) {
    conditions.retain(|condition| !OF_SERVER.contains(&condition.type_.as_str()));
}

pub(crate) fn drop_conditions_of_bmc(conditions: &mut Vec<Condition>) {
    conditions.retain(|condition| !OF_BMC.contains(&condition.type_.as_str()));
}
