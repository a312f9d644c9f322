//! Metrics of a DHCP server. Labels are from fixed sets, never names of clients.

use metal_core::boot::decision::Boot;
use metal_dhcp::lease::Count;
use metal_runtime::metrics::Registry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

/// The protocol that metrics are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    DhcpV4,
    DhcpV6,
}

impl Protocol {
    fn name(self, name: &str) -> String {
        match self {
            Self::DhcpV4 => format!("dhcp_{name}"),
            Self::DhcpV6 => format!("dhcp6_{name}"),
        }
    }

    /// Metrics that are not specific to DHCP have no prefix, as when there was only one protocol.
    fn other(self) -> &'static str {
        match self {
            Self::DhcpV4 => "",
            Self::DhcpV6 => "dhcp6_",
        }
    }
}

/// The metrics of the packet path.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<Kind, Counter>,
    answers: Family<Kind, Counter>,
    unanswered: Family<Reason, Counter>,
    boots: Family<Reason, Counter>,
    unserved: Family<Kind, Counter>,
    conflicts: Counter,
    leases: Family<State, Gauge>,
    pool: Gauge,
    without_subnet: Gauge,
    several_subnets: Gauge,
    log_failures: Counter,
    send_failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Metrics {
    /// Registers the metrics of a server that keeps leases.
    pub fn register(registry: &mut Registry, protocol: Protocol) -> Self {
        let metrics = Self::register_answers(registry, protocol);
        let name = |name: &str| protocol.name(name);
        let other = protocol.other();
        let help = "Requests of booting machines, by decision";
        registry.register(&format!("{other}boot_decisions"), help, metrics.boots.clone());
        registry.register(&name("leases"), "Addresses, by state", metrics.leases.clone());
        registry.register(&name("pool_addresses"), "Addresses in all ranges", metrics.pool.clone());
        let help = "Interfaces with addresses in several configured subnets";
        let several = metrics.several_subnets.clone();
        registry.register(&name("links_with_several_subnets"), help, several);
        let help = "Failed writes to the lease file; the clients were not answered";
        let failures = metrics.log_failures.clone();
        registry.register(&format!("{other}lease_file_failures"), help, failures);
        metrics
    }

    /// Registers the metrics of a server that keeps no leases.
    pub fn register_answers(registry: &mut Registry, protocol: Protocol) -> Self {
        let metrics = Self::default();
        let name = |name: &str| protocol.name(name);
        registry.register(&name("requests"), "Requests, by message type", metrics.requests.clone());
        registry.register(&name("answers"), "Responses, by message type", metrics.answers.clone());
        let help = "Requests that were not answered, by reason";
        registry.register(&name("unanswered"), help, metrics.unanswered.clone());
        let help =
            "Boot requests for which no boot file is configured, by architecture, or other reason";
        let unserved = metrics.unserved.clone();
        registry.register(&format!("{}boot_unserved", protocol.other()), help, unserved);
        let help = "Addresses in use by a host that has no lease for them";
        registry.register(&name("conflicts"), help, metrics.conflicts.clone());
        let help = "Interfaces without an address in any configured subnet";
        registry.register(&name("links_without_subnet"), help, metrics.without_subnet.clone());
        let help = "Responses that could not be sent";
        registry.register(&name("send_failures"), help, metrics.send_failures.clone());
        metrics
    }

    /// A packet of a known type was received.
    pub fn requested(&self, kind: Option<impl Into<&'static str>>) {
        let r#type = kind.map_or("Unknown", Into::into);
        self.requests.get_or_create(&Kind { r#type }).inc();
    }

    /// A packet was answered.
    pub fn answered(&self, kind: impl Into<&'static str>) {
        self.answers.get_or_create(&Kind { r#type: kind.into() }).inc();
    }

    /// A packet is not answered.
    pub fn unanswered(&self, reason: impl Into<&'static str>) {
        self.unanswered.get_or_create(&Reason { reason: reason.into() }).inc();
    }

    /// More packets were received than can be answered.
    pub fn overloaded(&self) {
        self.unanswered("Overloaded");
    }

    /// The boot of a machine was decided on.
    pub fn decided(&self, boot: &Boot) {
        let reason = match boot {
            Boot::Default => "Default",
            Boot::Assigned { .. } => "Assigned",
            Boot::Waits { .. } => "Waits",
            Boot::Url(_) => "URL",
            Boot::Nothing(reason) => reason.into(),
        };
        self.boots.get_or_create(&Reason { reason }).inc();
    }

    /// There is no boot file for a machine.
    pub fn unserved(&self, r#type: &'static str) {
        self.unserved.get_or_create(&Kind { r#type }).inc();
    }

    /// An address is in use that was not assigned by us.
    pub fn conflicted(&self) {
        self.conflicts.inc();
    }

    /// The number of links without a subnet, and with several.
    pub fn links(&self, without_subnet: usize, several_subnets: usize) {
        self.without_subnet.set(signed(without_subnet));
        self.several_subnets.set(signed(several_subnets));
    }

    /// Leases were not recorded.
    pub fn not_logged(&self) {
        self.log_failures.inc();
    }

    /// An answer was not sent.
    pub fn not_sent(&self) {
        self.send_failures.inc();
    }

    /// The leases by state.
    pub fn count(&self, count: &Count) {
        let Count { pool, offered, bound, declined, past, kept } = *count;
        for (state, value) in [
            ("offered", offered),
            ("bound", bound),
            ("declined", declined),
            ("past", past),
            ("kept", kept),
        ] {
            self.leases.get_or_create(&State { state }).set(signed(value));
        }
        self.pool.set(signed(pool));
    }
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(protocol: Protocol) -> Vec<String> {
        let mut registry = Registry::of("a");
        Metrics::register(&mut registry, protocol);
        let table = registry.table();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn both_protocols_have_the_same_metrics_by_names_of_their_own() {
        let (v4, v6) = (names(Protocol::DhcpV4), names(Protocol::DhcpV6));
        assert!(v4.iter().all(|name| !v6.contains(name)), "{v4:?}");
        let plain = |name: &String| {
            ["a_dhcp6_", "a_dhcp_", "a_"]
                .iter()
                .find_map(|it| name.strip_prefix(it).map(String::from))
        };
        let [v4, v6] = [v4, v6].map(|names| names.iter().map(plain).collect::<BTreeSet<_>>());
        assert_eq!(v4, v6);
        assert_eq!(v4.len(), 12);
    }
}
