//! Which subnets have BMCs.
//!
//! A DHCP request can contain any MAC address. So BMCs are recognized only in subnets that are
//! reserved for them, without tenants and booting machines.

use super::{Config, Mode};

/// How it is known which subnets have BMCs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BmcSubnets {
    /// By the configuration.
    #[default]
    Named,
    /// There is at most one subnet of each IP version, so they have them.
    OnlyOne,
    /// Not at all, with several subnets: no BMC is recorded.
    Unknown,
}

impl BmcSubnets {
    /// Advice for the operator; `None` if the configuration is explicit.
    pub fn advice(self) -> Option<&'static str> {
        match self {
            Self::Named => None,
            Self::OnlyOne => Some(
                "no subnet has `bmc: true`, so BMCs are recorded in the only subnet, where any \
                 other host can pretend to be a BMC; use a separate subnet for BMCs, with `bmc: \
                 true`",
            ),
            Self::Unknown => Some(
                "none of the subnets has `bmc: true`: NO BMC IS RECORDED, and address changes of \
                 known BMCs are ignored; set `bmc: true` on the subnets of BMCs, and on no others",
            ),
        }
    }
}

impl Config {
    /// Determines the subnets that have BMCs; `says` is whether the configuration is explicit.
    pub(super) fn place_bmcs(&mut self, says: bool) {
        let subnets = self.subnets.iter_mut().filter(|subnet| subnet.mode == Mode::Leases);
        let subnets: Vec<_> = subnets.map(|subnet| &mut subnet.bmc).collect();
        let subnets6 = self.dhcp6.iter_mut().flat_map(|it| &mut it.subnets);
        let subnets6: Vec<_> = subnets6.map(|subnet| &mut subnet.bmc).collect();
        self.bmc_subnets = match (says, subnets.len().max(subnets6.len())) {
            (true, _) | (false, 0) => BmcSubnets::Named,
            (false, 1) => {
                subnets.into_iter().chain(subnets6).for_each(|bmc| *bmc = true);
                BmcSubnets::OnlyOne
            }
            (false, _) => BmcSubnets::Unknown,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(four: &[&str], six: &[&str]) -> (BmcSubnets, Vec<bool>) {
        let four = four.iter().zip(1..).map(|(it, n)| format!("{{ subnet: 10.{n}.0.0/24{it} }}"));
        let six = six.iter().zip(1..).map(|(it, n)| format!("{{ subnet: 'fd0{n}::/64'{it} }}"));
        let text = format!(
            "interfaces: [a]\nsubnets: [{}]\ndhcp6: {{ interfaces: [a], subnets: [{}] }}\n",
            four.collect::<Vec<_>>().join(", "),
            six.collect::<Vec<_>>().join(", "),
        );
        let config = Config::parse(&text).unwrap();
        let six = config.dhcp6.iter().flat_map(|it| &it.subnets).map(|subnet| subnet.bmc);
        let bmc = config.subnets.iter().map(|subnet| subnet.bmc).chain(six).collect();
        (config.bmc_subnets, bmc)
    }

    #[test]
    fn bmcs_are_where_a_subnet_says_so_or_in_the_only_one() {
        const YES: &str = ", bmc: true";
        const NO: &str = ", bmc: false";
        const PROXY: &str = ", mode: proxy";
        use BmcSubnets::{Named, OnlyOne, Unknown};
        for (four, six, who, expected) in [
            (&[YES, ""][..], &[][..], Named, &[true, false][..]),
            (&["", YES], &[""], Named, &[false, true, false]),
            (&[""], &[YES], Named, &[false, true]),
            // If the configuration says which subnets have no BMCs, none of the others has any
            // either.
            (&[NO], &[], Named, &[false]),
            (&[""], &[], OnlyOne, &[true]),
            (&[], &[""], OnlyOne, &[true]),
            (&[""], &[""], OnlyOne, &[true, true]),
            (&["", PROXY], &[], OnlyOne, &[true, false]),
            (&["", ""], &[], Unknown, &[false, false]),
            (&[""], &["", ""], Unknown, &[false, false, false]),
            (&[], &[], Named, &[]),
        ] {
            assert_eq!(placed(four, six), (who, expected.to_vec()), "{four:?} {six:?}");
        }
    }

    #[test]
    fn a_proxy_has_no_bmcs() {
        let text = "interfaces: [a]\nsubnets:\n- subnet: 10.1.0.0/24\n  mode: proxy\n  bmc: true\n";
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with("line 5: subnets.bmc: a proxy does not assign addresses"),
            "{error}"
        );
    }
}
