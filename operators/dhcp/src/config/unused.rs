//! Settings that a valid configuration has, and nothing reads.

use super::{Mode, field::line_of, raw};
use metal_text::located::Located;

/// A setting of clients in a subnet that assigns no addresses. The configuration is used all the same, as it
/// harms nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field} has no effect where no addresses are assigned; remove it, or mode")]
pub struct Unused {
    /// Line of its value.
    pub line: u64,
    /// The field.
    pub field: &'static str,
}

/// What is unused in a configuration whose modes are valid.
pub(super) fn of(raw: &raw::Config) -> Vec<Unused> {
    let is_proxy = |it: &&raw::Subnet| {
        it.mode.as_ref().and_then(|mode| mode.value.parse().ok()) == Some(Mode::Proxy)
    };
    raw.subnets.iter().flatten().filter(is_proxy).flat_map(of_proxy).collect()
}

/// What a proxy leaves to the server that assigns the addresses.
fn of_proxy(subnet: &raw::Subnet) -> impl Iterator<Item = Unused> {
    let all = [
        found(subnet.router.as_ref(), "subnets.router"),
        found(subnet.dns.first(), "subnets.dns"),
        found(subnet.ntp.first(), "subnets.ntp"),
        found(subnet.domain.as_ref(), "subnets.domain"),
        found(subnet.mtu.as_ref(), "subnets.mtu"),
        found(subnet.routes.first().map(|route| &route.to), "subnets.routes"),
        found(subnet.lease_time.as_ref(), "subnets.leaseTime"),
    ];
    all.into_iter().flatten()
}

fn found<T>(value: Option<&Located<T>>, field: &'static str) -> Option<Unused> {
    Some(Unused { line: line_of(value?), field })
}

#[cfg(test)]
mod tests {
    use super::{super::Config, *};

    #[test]
    fn what_a_proxy_leaves_to_the_other_server_is_told_and_harms_nobody() {
        for (line, field) in [
            ("router: 10.77.0.1", "subnets.router"),
            ("dns: [10.77.0.1]", "subnets.dns"),
            ("ntp: [10.77.0.1]", "subnets.ntp"),
            ("domain: example.org", "subnets.domain"),
            ("mtu: 1500", "subnets.mtu"),
            ("routes: [{ to: 10.80.0.0/16, via: 10.77.0.2 }]", "subnets.routes"),
            ("leaseTime: 1h", "subnets.leaseTime"),
        ] {
            let text = |mode: &str| {
                let head = "interfaces: [a]\nsubnets:\n  - subnet: 10.77.0.0/24\n";
                Config::parse(&format!("{head}    mode: {mode}\n    {line}\n")).unwrap()
            };
            assert_eq!(text("proxy").unused, [Unused { line: 5, field }]);
            assert_eq!(text("leases").unused, []);
        }
    }
}
