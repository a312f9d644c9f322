//! Plugins that determine who is served and who is recorded, and further settings of clients.

use super::{fail, read};
use crate::{
    draft::{Draft, refusal},
    main_file::{Family, File},
    note::Error,
    quote::quote,
    step::Step,
    upstream::add,
};
use metal_text::{located::Text, yaml::or_default};
use serde::Deserialize;
use std::net::IpAddr;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MacFilter {
    #[serde(default, deserialize_with = "or_default")]
    allow_list: Vec<Text>,
    #[serde(default, deserialize_with = "or_default")]
    deny_list: Vec<Text>,
}

/// MAC address prefixes of clients that are answered, or are not.
pub(super) fn macfilter(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let (file, MacFilter { allow_list, deny_list }) = read(step, files)?;
    if allow_list.is_empty() && deny_list.is_empty() {
        let problem = "both are empty; add a prefix to one of them, or remove the plugin";
        return Err(fail(file, 1, "allowList, denyList", problem.to_owned()));
    }
    for (field, list) in [("allow", allow_list), ("deny", deny_list)] {
        for text in list {
            if let Some(why) = refusal(&format!("{field}: [{}]\n", quote(&text.value))) {
                // If the prefix were dropped, an allow list would admit fewer clients, and a deny
                // list more.
                let fix = format!("add the intended prefix to {field}");
                draft.notes.push(step.note_in(file, text.line, why, fix));
                continue;
            }
            let known = if field == "allow" { &mut draft.allow } else { &mut draft.deny };
            let prefix = text.value.to_ascii_lowercase();
            if !known.contains(&prefix) {
                known.push(prefix);
            }
        }
    }
    let why = "applies to clients of both IP versions in netboot";
    draft.notes.push(step.note(why, "check that this is intended"));
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metal {
    name_prefix: Option<Text>,
    #[serde(default, deserialize_with = "or_default")]
    hosts: Vec<Host>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Host {
    name: Text,
    mac_address: Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filter {
    #[serde(default, deserialize_with = "or_default")]
    mac_prefix: Vec<Text>,
}

/// Which clients become Endpoints. Here the database of MAC prefixes determines that.
pub(super) fn metal(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let (file, Metal { name_prefix, hosts, filter }) = read(step, files)?;
    draft.side(step.family).bmc = true;
    let why = "all subnets of this IP version are assumed to contain BMCs";
    draft.notes.push(step.note(why, "remove `bmc: true` from the subnets where machines boot"));
    if let Some(prefix) = name_prefix {
        let lines = format!("endpoints: {{ namePrefix: {} }}\n", quote(&prefix.value));
        match refusal(&lines) {
            None => draft.name_prefix = Some(prefix.value),
            Some(why) => {
                let fix = "set endpoints.namePrefix by hand";
                draft.notes.push(step.note_in(file, prefix.line, why, fix));
            }
        }
    }
    for Host { name, mac_address } in hosts {
        let why = format!(
            "an Endpoint for {} would not be named {}",
            mac_address.value.to_ascii_lowercase(),
            name.value
        );
        let fix = "create it with that name and MAC address; netboot then updates its address";
        draft.notes.push(step.note_in(file, name.line, why, fix));
    }
    for prefix in filter.into_iter().flat_map(|filter| filter.mac_prefix) {
        let why = format!(
            "`{}` does not determine which clients become Endpoints in netboot",
            prefix.value
        );
        let fix = "add it to the MAC prefix database, and set --mac-prefixes-file of netboot";
        draft.notes.push(step.note_in(file, prefix.line, why, fix));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ntp {
    #[serde(default, deserialize_with = "or_default")]
    servers: Vec<Text>,
    #[serde(default, deserialize_with = "or_default")]
    servers_v6: Vec<Text>,
}

/// NTP servers, by IP version.
pub(super) fn ntp(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let (file, Ntp { servers, servers_v6 }) = read(step, files)?;
    let (field, list) = match step.family {
        Family::V4 => ("servers", servers),
        Family::V6 => ("servers_v6", servers_v6),
    };
    for text in list {
        let ip: IpAddr = text.value.parse().map_err(|_| {
            let problem =
                format!("`{}` is not an IP address; host names are not supported", text.value);
            fail(file, text.line, field, problem)
        })?;
        add(&mut draft.side(step.family).ntp, vec![ip], step.family);
    }
    Ok(())
}
