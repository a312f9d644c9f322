//! Plugins that assign addresses, or record who has them.

use super::{fail, read};
use crate::{
    draft::{Draft, family_of},
    main_file::{Family, File},
    note::Error,
    step::Step,
};
use metal_text::{
    located::{Located, Text},
    yaml::or_default,
};
use serde::Deserialize;
use std::net::IpAddr;

const RANGES: &str = "use --subnet PREFIX=FIRST-LAST for each subnet";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Bluefield {
    // The second is how its documentation spelled it for a while.
    #[serde(rename = "bluefieldIP", alias = "bulefieldIP")]
    ip: Text,
}

/// One address, for any client. Here it is a pool of one.
pub(super) fn bluefield(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let inline = step.plugin.args.first().filter(|arg| arg.parse::<IpAddr>().is_ok());
    let (file, Bluefield { ip: text }) = if let Some(ip) = inline {
        let ip = Located { value: ip.clone(), line: step.plugin.line };
        (step.main.name(), Bluefield { ip })
    } else {
        read(step, files)?
    };
    let ip: IpAddr = text.value.parse().map_err(|_| {
        let problem = format!("`{}` is not an IP address; correct it", text.value);
        fail(file, text.line, "bluefieldIP", problem)
    })?;
    if family_of(ip) != step.family {
        let why = format!("{ip} cannot be assigned to clients of {}", step.family.section());
        draft.notes.push(step.note_in(
            file,
            text.line,
            why,
            "use an address of the same IP version",
        ));
        return Ok(());
    }
    let why = format!("{ip} is not in a known subnet");
    let note = step.note_in(file, text.line, why, "use --subnet PREFIX");
    let side = draft.side(step.family);
    side.leases = true;
    side.pools.push((ip, ip, note));
    let why =
        format!("{ip} is assigned to one client at a time; FeDHCP assigns it to every client");
    let fix = "reserve an address for each client where there are several";
    draft.notes.push(step.note_in(file, text.line, why, fix));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ipam {
    namespace: Option<Text>,
    #[serde(default, deserialize_with = "or_default")]
    subnets: Vec<Text>,
}

/// Writes objects for addresses that another plugin assigns.
pub(super) fn ipam(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let raw = if step.plugin.is_early() { None } else { Some(read::<Ipam>(step, files)?) };
    let why = match &raw {
        Some((_, Ipam { namespace, subnets })) => {
            let names: Vec<_> = subnets.iter().map(|name| name.value.as_str()).collect();
            let place = namespace.as_ref().map_or("its namespace", |text| text.value.as_str());
            format!("IP objects in {place} for the subnets {} are not written", names.join(", "))
        }
        None => "IP objects are not written".to_owned(),
    };
    let line = raw.as_ref().and_then(|(_, raw)| raw.subnets.first().map(|text| text.line));
    let place = raw.as_ref().map_or(step.main.name(), |(file, _)| *file);
    let fix = format!("{RANGES}, with addresses that the IPAM does not assign to others");
    draft.notes.push(step.note_in(place, line.unwrap_or(step.plugin.line), why, fix));
    draft.side(step.family).leases = true;
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Leases {
    namespace: Text,
}

/// Writes Lease objects.
pub(super) fn leases(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let (file, Leases { namespace }) = read(step, files)?;
    let why = format!("Lease objects of FeDHCP are not written to {}", namespace.value);
    let fix = "set --lease-file, where netboot stores its leases";
    draft.notes.push(step.note_in(file, namespace.line, why, fix));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Onmetal {
    prefix_delegation: Option<Delegation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delegation {
    length: Located<i64>,
}

/// The address after that of the relay, on point-to-point links.
pub(super) fn onmetal(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let why = "addresses are not derived from the relay's; they come from the ranges of a subnet";
    draft.notes.push(step.note(why, format!("{RANGES}; a link with two addresses is a /126")));
    draft.side(step.family).leases = true;
    if step.plugin.args.is_empty() || step.plugin.is_early() {
        return Ok(());
    }
    let (file, Onmetal { prefix_delegation }) = read(step, files)?;
    if let Some(Delegation { length }) = prefix_delegation {
        if !(1..=127).contains(&length.value) {
            let problem = format!("`{}` is not a prefix length; use 1 to 127", length.value);
            return Err(fail(file, length.line, "prefixDelegation.length", problem));
        }
        let why = format!("prefixes (/{}) are not delegated by netboot", length.value);
        let fix = "route prefixes to machines by other means if they need them";
        draft.notes.push(step.note_in(file, length.line, why, fix));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Oob {
    namespace: Text,
    #[serde(default, deserialize_with = "or_default")]
    subnet_labels: Vec<Label>,
    /// `key=value`, from versions with only one.
    subnet_label: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    key: String,
    value: String,
}

/// Addresses of subnets that are selected by objects.
pub(super) fn oob(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let here = |value: &String| Located { value: value.clone(), line: step.plugin.line };
    let (file, Oob { namespace, subnet_labels, subnet_label }) = match &step.plugin.args[..] {
        [namespace, label, ..] => {
            let subnet_label = Some(here(label));
            let namespace = here(namespace);
            (step.main.name(), Oob { namespace, subnet_labels: Vec::new(), subnet_label })
        }
        _ => read(step, files)?,
    };
    let labels = subnet_labels.iter().map(|Label { key, value }| format!("{key}={value}"));
    let labels: Vec<_> = labels.chain(subnet_label.map(|label| label.value)).collect();
    let why = format!(
        "addresses are not taken from the Subnet objects in {} ({})",
        namespace.value,
        labels.join(",")
    );
    let kind = match step.family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    let fix = format!("{RANGES} of {kind} that these objects specify");
    draft.notes.push(step.note_in(file, namespace.line, why, fix));
    draft.side(step.family).leases = true;
    Ok(())
}

/// The subnet of the relay, and the MAC address.
pub(super) fn stateless(draft: &mut Draft, step: &Step<'_>) {
    let why = "addresses are not derived from MAC addresses; they come from the ranges of a \
               subnet, and a machine keeps its address";
    draft.notes.push(step.note(why, RANGES));
    if let Some(file) = step.plugin.args.first() {
        let why = format!("lease times in `{file}` are not converted");
        draft.notes.push(step.note(why, "set leaseTime of subnets if it is not 24h"));
    }
    draft.side(step.family).leases = true;
}
