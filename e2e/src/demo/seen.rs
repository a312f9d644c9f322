//! What the API server says about machines, and about everything that fails.

use super::screen::Row;
use anyhow::Result;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use metal_api::{
    Bmc, Endpoint, Server, ServerBootConfiguration, ServerClaim, ServerState, condition::READY,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Name prefix of simulated machines.
const MACHINES: &str = "compute-";
/// The states that are counted if there are many machines.
const STATES: [&str; 5] = ["Initial", "Discovery", "Available", "Reserved", "Error"];
/// The most complaints that are shown.
const COMPLAINTS: usize = 20;

/// The simulated machines, by the name of their Endpoint.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<String, Machine>);

/// A machine.
#[derive(Debug, Default)]
struct Machine {
    address: Option<String>,
    has_bmc: bool,
    server: Option<Known>,
}

/// A machine that has a Server.
#[derive(Clone, Debug, Default)]
struct Known {
    state: String,
    power: String,
    holder: Option<String>,
    reason: String,
}

impl Seen {
    /// The machines as they are now.
    pub(super) async fn now(client: &Client) -> Result<Self> {
        let (all, endpoints) = (ListParams::default(), Api::<Endpoint>::all(client.clone()));
        let bmcs = Api::<Bmc>::all(client.clone());
        let servers = Api::<Server>::all(client.clone());
        let (endpoints, bmcs, servers) =
            tokio::try_join!(endpoints.list(&all), bmcs.list(&all), servers.list(&all))?;
        let mut seen = Self::default();
        for endpoint in endpoints {
            seen.machine(&endpoint.name_any(), |it| it.address = endpoint.spec.ip);
        }
        for bmc in bmcs {
            seen.machine(&bmc.name_any(), |it| it.has_bmc = true);
        }
        for server in servers {
            seen.machine(machine_of(&server.name_any()), |it| it.server = Some(known(&server)));
        }
        Ok(seen)
    }

    fn machine(&mut self, name: &str, change: impl FnOnce(&mut Machine)) {
        if name.starts_with(MACHINES) {
            change(self.0.entry(name.to_owned()).or_default());
        }
    }

    /// How many servers are in this state.
    pub(super) fn in_state(&self, state: &str) -> usize {
        self.servers().filter(|(_, known)| known.state == state).count()
    }

    /// State and power of the Server with this name.
    pub(super) fn state_and_power(&self, server: &str) -> String {
        let machine = self.0.get(machine_of(server));
        let known = machine.and_then(|machine| machine.server.clone()).unwrap_or_default();
        format!("{} {}", known.state, known.power)
    }

    /// The machines that are not Available.
    pub(super) fn unavailable(&self) -> impl Iterator<Item = &str> {
        let available = ServerState::Available;
        let rest = self.servers().filter(move |(_, known)| known.state != available.as_str());
        rest.map(|(name, _)| name)
    }

    fn servers(&self) -> impl Iterator<Item = (&str, &Known)> {
        let machines = self.0.iter();
        machines.filter_map(|(name, machine)| Some((name.as_str(), machine.server.as_ref()?)))
    }

    /// A line for each machine.
    pub(super) fn rows(&self) -> Vec<Row> {
        let with_address = self.0.iter().filter(|(_, machine)| machine.address.is_some());
        with_address.map(|(name, machine)| machine.row(name)).collect()
    }

    /// The number of machines in each state.
    pub(super) fn sum(&self) -> String {
        let machines = self.0.values();
        let endpoints = machines.clone().filter(|machine| machine.address.is_some()).count();
        let bmcs = machines.filter(|machine| machine.has_bmc).count();
        let mut sum = format!("{endpoints} Endpoints, {bmcs} BMCs");
        for state in STATES {
            match self.in_state(state) {
                0 => {}
                count => sum = format!("{sum}, {count} {state}"),
            }
        }
        sum
    }
}

impl Machine {
    fn row(&self, name: &str) -> Row {
        let before = if self.has_bmc { "BMC" } else { "Endpoint" };
        let known = self.server.clone().unwrap_or_default();
        let state = if self.server.is_some() { &known.state } else { before };
        let address = self.address.as_deref().unwrap_or_default();
        let claim = known.holder.map(|claim| format!("claim {claim}: ")).unwrap_or_default();
        let (power, reason) = (known.power, known.reason);
        let text = format!("{name:<20} {address:<14} {state:<10} {power:<11} {claim}{reason}");
        Row { name: name.to_owned(), state: state.to_owned(), text }
    }
}

/// Name of the Endpoint of the machine with this Server.
fn machine_of(server: &str) -> &str {
    server.rsplit_once("-system-").map_or(server, |(machine, _)| machine)
}

fn known(server: &Server) -> Known {
    let status = server.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    Known {
        state: status.state.unwrap_or(ServerState::Initial).as_str().to_owned(),
        power: status.power_state.map(|power| power.as_str().to_owned()).unwrap_or_default(),
        holder: server.spec.server_claim_ref.as_ref().map(|claim| claim.name.clone()),
        reason: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
    }
}

/// Every condition that does not hold, with its reason and message, and boot configurations without
/// a status; at most [`COMPLAINTS`] of them.
pub(super) async fn complaints(client: &Client) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    lines.extend(complaints_of::<Endpoint>(client).await?);
    lines.extend(complaints_of::<Bmc>(client).await?);
    lines.extend(complaints_of::<Server>(client).await?);
    lines.extend(complaints_of::<ServerBootConfiguration>(client).await?);
    lines.extend(complaints_of::<ServerClaim>(client).await?);
    lines.truncate(COMPLAINTS);
    Ok(lines)
}

async fn complaints_of<K: Resource<DynamicType = ()>>(client: &Client) -> Result<Vec<String>> {
    let kind = ApiResource::erase::<K>(&());
    let objects = Api::<DynamicObject>::all_with(client.clone(), &kind);
    let objects = objects.list(&ListParams::default()).await?;
    let lines = objects
        .iter()
        .filter_map(|object| complaint(&kind.kind, &object.name_any(), object.data.get("status")));
    Ok(lines.collect())
}

/// What is wrong with an object, from its status.
fn complaint(kind: &str, name: &str, status: Option<&Value>) -> Option<String> {
    let text = |field: &str| Some(status?.get(field)?.as_str()?.to_owned());
    let state = text("state").or_else(|| text("phase")).unwrap_or_default();
    let conditions = status.and_then(|status| status.get("conditions")).cloned();
    let conditions: Vec<Condition> =
        conditions.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
    let wrong = conditions.iter().filter(|condition| condition.status == "False");
    let wrong: Vec<_> =
        wrong.map(|it| format!(" {}: {}: {}", it.type_, it.reason, it.message)).collect();
    let is_unanswered =
        kind == "ServerBootConfiguration" && matches!(state.as_str(), "" | "Pending");
    let is_wrong = is_unanswered || !wrong.is_empty();
    is_wrong.then(|| format!("{kind} {name} {state}:{}", wrong.join(";")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(server: Option<Known>) -> Seen {
        let machine = Machine { address: Some("10.77.0.9".to_owned()), has_bmc: true, server };
        Seen([("compute-1".to_owned(), machine)].into())
    }

    #[test]
    fn a_machine_is_what_the_furthest_of_its_objects_says() {
        let rows = seen(None).rows();
        assert_eq!(rows[0].text, "compute-1            10.77.0.9      BMC                    ");
        let known = Known {
            state: "Reserved".to_owned(),
            power: "On".to_owned(),
            holder: Some("demo".to_owned()),
            reason: "it boots".to_owned(),
        };
        let seen = seen(Some(known));
        let expected =
            "compute-1            10.77.0.9      Reserved   On          claim demo: it boots";
        assert_eq!(seen.rows()[0].text, expected);
        assert_eq!(seen.rows()[0].state, "Reserved");
        assert_eq!(seen.state_and_power("compute-1-system-0"), "Reserved On");
        assert_eq!(seen.state_and_power("compute-2-system-0"), " ");
        assert_eq!(seen.sum(), "1 Endpoints, 1 BMCs, 1 Reserved");
        assert_eq!(seen.unavailable().collect::<Vec<_>>(), ["compute-1"]);
    }

    #[test]
    fn objects_that_nobody_has_answered_and_conditions_that_do_not_hold_are_complaints() {
        let condition = |status: &str| {
            json!({ "type": "Ready", "status": status, "reason": "Missing", "message": "make it",
                    "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let status =
            json!({ "state": "Pending", "conditions": [condition("False"), condition("True")] });
        let expected = "BMC a Pending: Ready: Missing: make it";
        assert_eq!(complaint("BMC", "a", Some(&status)).as_deref(), Some(expected));
        let fine = json!({ "conditions": [condition("True")] });
        assert_eq!(complaint("BMC", "a", Some(&fine)), None);
        assert_eq!(complaint("BMC", "a", None), None);
        let unanswered = complaint("ServerBootConfiguration", "a", None);
        assert_eq!(unanswered.as_deref(), Some("ServerBootConfiguration a :"));
    }
}
