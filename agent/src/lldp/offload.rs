//! Adapters whose firmware is an LLDP agent of its own: it keeps what switches announce to itself, and the
//! kernel sees none of it. Drivers tell by private flags.

use crate::netlink::PrivateFlag;

/// What stands between an adapter and our hearing its neighbors: a private flag, and the value that ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offload {
    flag: &'static str,
    harmless: bool,
}

const OFFLOADS: [Offload; 2] = [
    // i40e: Intel 700 series.
    Offload { flag: "disable-fw-lldp", harmless: true },
    // ice: Intel E800 series.
    Offload { flag: "fw-lldp-agent", harmless: false },
];

/// Why the neighbors of a link are not heard, and what a person can do about it; `None` if nothing says so.
pub(crate) fn explain(link: &str, flags: &[PrivateFlag]) -> Option<String> {
    let is_set = |offload: &Offload| {
        flags.iter().any(|flag| flag.name == offload.flag && flag.is_on != offload.harmless)
    };
    let Offload { flag, harmless } = OFFLOADS.into_iter().find(is_set)?;
    let value = if harmless { "on" } else { "off" };
    Some(format!(
        "{link}: the firmware of this adapter handles LLDP itself, so its neighbors are not seen; disable \
         the LLDP agent in the adapter's settings, or where an operating system runs: \
         ethtool --set-priv-flags {link} {flag} {value}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_that_takes_lldp_is_told_with_what_to_do() {
        for (flag, is_on, remedy) in [
            ("disable-fw-lldp", false, Some("eth0 disable-fw-lldp on")),
            ("disable-fw-lldp", true, None),
            ("fw-lldp-agent", true, Some("eth0 fw-lldp-agent off")),
            ("fw-lldp-agent", false, None),
            ("legacy-rx", true, None),
        ] {
            let flags = [("link-down-on-close", false), (flag, is_on)];
            let flags = flags.map(|(name, is_on)| PrivateFlag { name: name.into(), is_on });
            let told = explain("eth0", &flags);
            assert_eq!(told.is_some(), remedy.is_some(), "{flag} {is_on}");
            if let Some((told, remedy)) = told.zip(remedy) {
                assert!(told.starts_with("eth0: the firmware of this adapter"), "{told}");
                assert!(told.ends_with(&format!("ethtool --set-priv-flags {remedy}")), "{told}");
            }
        }
        assert_eq!(explain("eth0", &[]), None);
    }
}
