//! Our configuration as text.

use super::{
    draft::{Draft, FamilySettings, Subnet},
    quote::quote,
};
use std::{fmt::Display, net::IpAddr};

const HEAD: &str = "\
# Converted from a configuration of FeDHCP. All fields: docs/netboot-fields.md
# yaml-language-server: $schema=netboot.schema.json
";

pub(super) fn write(draft: &Draft) -> String {
    let mut out = HEAD.to_owned();
    let Draft { v4, v6, .. } = draft;
    if v4.is_served {
        places(&mut out, "", v4);
        // A proxy does not tell clients that an address is wrong: another server assigns them.
        subnets(&mut out, "", v4, "proxy");
        boot(&mut out, "", v4);
    }
    if !draft.ztp.is_empty() {
        out.push_str("ztp:\n");
        for (mac, url) in &draft.ztp {
            line(&mut out, "", &format!("  - {{ mac: {}, url: {} }}", quote(mac), quote(url)));
        }
    }
    list(&mut out, "", "allow", &draft.allow);
    list(&mut out, "", "deny", &draft.deny);
    if let Some(prefix) = &draft.name_prefix {
        line(&mut out, "", &format!("endpoints: {{ namePrefix: {} }}", quote(prefix)));
    }
    if v6.is_served {
        out.push_str("dhcp6:\n");
        places(&mut out, "  ", v6);
        if let Some(duid) = &draft.duid {
            line(&mut out, "", &format!("  duid: {}", quote(duid)));
        }
        subnets(&mut out, "  ", v6, "stateless");
        boot(&mut out, "  ", v6);
    }
    out
}

fn line(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    out.push_str(text);
    out.push('\n');
}

fn list(out: &mut String, indent: &str, field: &str, values: &[impl Display]) {
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(quote).collect();
        line(out, indent, &format!("{field}: [{}]", values.join(", ")));
    }
}

fn places(out: &mut String, indent: &str, side: &FamilySettings) {
    list(out, indent, "interfaces", &side.interfaces);
    list(out, indent, "listen", &side.listen);
}

/// `without` is the mode of subnets whose addresses are assigned by another server.
fn subnets(out: &mut String, indent: &str, side: &FamilySettings, without: &str) {
    if side.subnets.is_empty() {
        line(out, indent, "subnets: []");
        return;
    }
    line(out, indent, "subnets:");
    let inner = format!("{indent}    ");
    for subnet in &side.subnets {
        line(out, indent, &format!("  - subnet: {}", quote(subnet.net)));
        let has_mode = !assigns(side, subnet);
        if has_mode {
            line(out, &inner, &format!("mode: {without}"));
        }
        // A proxy does not see the addresses of BMCs, and leaves all settings to the other server.
        if has_mode && without == "proxy" {
            continue;
        }
        if side.bmc {
            line(out, &inner, "bmc: true");
        }
        one(out, &inner, side, subnet);
    }
}

/// Whether addresses of a subnet are assigned, and not by another server.
fn assigns(side: &FamilySettings, subnet: &Subnet) -> bool {
    side.leases || !subnet.pools.is_empty() || !subnet.reservations.is_empty()
}

/// The settings of one subnet.
fn one(out: &mut String, indent: &str, side: &FamilySettings, subnet: &Subnet) {
    let ranges: Vec<_> = subnet.pools.iter().map(|(a, b)| format!("{a}-{b}")).collect();
    list(out, indent, "ranges", &ranges);
    if let Some(router) = subnet.router {
        line(out, indent, &format!("router: {}", quote(router)));
    }
    list(out, indent, "dns", &side.dns);
    list(out, indent, "ntp", &side.ntp);
    match (subnet.net.addr(), side.domains.first()) {
        (IpAddr::V4(_), Some(first)) => {
            line(out, indent, &format!("domain: {}", quote(first)));
        }
        (IpAddr::V6(_), _) => list(out, indent, "search", &side.domains),
        (IpAddr::V4(_), None) => {}
    }
    if let Some(mtu) = &side.mtu {
        line(out, indent, &format!("mtu: {mtu}"));
    }
    if !side.routes.is_empty() {
        line(out, indent, "routes:");
        for (to, via) in &side.routes {
            line(out, indent, &format!("  - {{ to: {}, via: {} }}", quote(to), quote(via)));
        }
    }
    if let Some(time) = side.lease_time.as_ref().filter(|_| assigns(side, subnet)) {
        line(out, indent, &format!("leaseTime: {}", quote(time)));
    }
    if !subnet.reservations.is_empty() {
        line(out, indent, "reservations:");
        for (mac, ip) in &subnet.reservations {
            line(out, indent, &format!("  - {{ mac: {}, ip: {} }}", quote(mac), quote(ip)));
        }
    }
}

fn boot(out: &mut String, indent: &str, side: &FamilySettings) {
    if !side.boot.is_empty() {
        line(out, indent, "boot:");
        for (field, value) in &side.boot {
            line(out, indent, &format!("  {field}: {}", quote(value)));
        }
    }
}
