//! Plugins that FeDHCP has from coredhcp. All but `file` are configured in the main file only.

use super::{
    draft::{Draft, family_of, refusal_in_subnet},
    main_file::{Family, File},
    note::{Error, Note},
    quote::quote,
    step::Step,
};
use metal_api::MacAddr;
use std::{net::IpAddr, str::FromStr};

/// Converts a plugin, if it is one of these.
pub(super) fn take(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<bool, Error> {
    match step.plugin.name.as_str() {
        "server_id" => server_id(draft, step)?,
        "dns" => {
            let dns: Vec<IpAddr> = all(step, "an IP address")?;
            add(&mut draft.side(step.family).dns, dns, step.family);
        }
        "router" => {
            for router in all(step, "an IP address")? {
                let why = format!("{router} is a second router, or not in a known subnet");
                let note = step.note(why, "use --subnet PREFIX, and set its router");
                draft.side(step.family).routers.push((router, note));
            }
        }
        "netmask" => netmask(draft, step)?,
        "range" => range(draft, step)?,
        "lease_time" => lease_time(draft, step, step.plugin.args.first())?,
        "mtu" => mtu(draft, step)?,
        "searchdomains" => {
            draft.side(step.family).domains.extend(step.plugin.args.iter().cloned());
            if step.family == Family::V4 && step.plugin.args.len() > 1 {
                let why = "netboot sends one domain to IPv4 clients, but there are several";
                draft.notes.push(step.note(why, "check that the first one is intended"));
            }
        }
        "staticroute" => static_routes(draft, step)?,
        "file" => reservations(draft, step, files)?,
        "nbp" => nbp(draft, step)?,
        "prefix" => draft.notes.push(step.note(
            "prefixes are not delegated by netboot",
            "keep a server that delegates prefixes for clients that need it",
        )),
        "autoconfigure" => {
            draft.notes.push(step.note(
                "option 116 is not sent by netboot",
                "nothing to do if clients get addresses",
            ));
        }
        "sleep" | "example" => {
            draft.notes.push(step.note("is only an example plugin of FeDHCP", "remove it"));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// All arguments, parsed.
fn all<T: FromStr>(step: &Step<'_>, what: &str) -> Result<Vec<T>, Error> {
    let args = step.plugin.args.iter();
    let parse = |text: &String| {
        text.parse().map_err(|_| step.fail(format!("`{text}` is not {what}; correct it")))
    };
    let values: Vec<T> = args.map(parse).collect::<Result<_, _>>()?;
    if values.is_empty() {
        return Err(step.fail(format!("has no value; specify {what}, or remove it")));
    }
    Ok(values)
}

/// Adds the addresses of one IP version, each once: plugins accept both versions and use their own.
pub(super) fn add(to: &mut Vec<IpAddr>, from: Vec<IpAddr>, family: Family) {
    for ip in from {
        if family_of(ip) == family && !to.contains(&ip) {
            to.push(ip);
        }
    }
}

/// For IPv4 the address of FeDHCP; for IPv6 the type of a DUID, and a MAC address.
fn server_id(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    if step.family == Family::V4 {
        let ids: Vec<IpAddr> = all(step, "an IPv4 address")?;
        draft.v4.server = ids.first().copied();
        let why = "the server identifier of netboot is the address at which a client or relay \
                   reaches it";
        draft.notes.push(step.note(why, "assign that address to the host of netboot"));
        return Ok(());
    }
    let example = "use, for example, `LL 00:de:ad:be:ef:00`";
    let [kind, mac, ..] = &step.plugin.args[..] else {
        return Err(step.fail(format!("has no DUID; {example}")));
    };
    let mac: MacAddr =
        mac.parse().map_err(|_| step.fail(format!("`{mac}` is not a MAC address; {example}")))?;
    match kind.to_ascii_lowercase().replace('_', "-").trim_start_matches("duid-") {
        "ll" => {}
        "llt" => draft.notes.push(step.note(
            "FeDHCP changes the time in it at every start; netboot's DUID does not change",
            "nothing to do: clients request a new lease once",
        )),
        _ => return Err(step.fail(format!("`{kind}` is not a known DUID type; {example}"))),
    }
    draft.duid = Some(format!("00030001{}", mac.to_string().replace(':', "")));
    Ok(())
}

fn netmask(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    let [mask] = all::<IpAddr>(step, "a netmask")?[..] else {
        return Err(step.fail("specify one netmask, for example `255.255.255.0`"));
    };
    let len = ipnet::ip_mask_to_prefix(mask).map_err(|_| {
        step.fail(format!("`{mask}` is not a netmask; use, for example, `255.255.255.0`"))
    })?;
    draft.side(step.family).prefix_len = Some(len);
    Ok(())
}

/// A lease file, the first and the last address, and the lease time.
fn range(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    let example = "use `range: FILE FIRST LAST TIME`";
    let [_, first, last, time @ ..] = &step.plugin.args[..] else {
        return Err(step.fail(format!("has too few values; {example}")));
    };
    let ip = |text: &String| {
        let problem = format!("`{text}` is not an IP address; {example}");
        text.parse::<IpAddr>().map_err(|_| step.fail(problem))
    };
    let (first, last) = (ip(first)?, ip(last)?);
    if first > last {
        return Err(step.fail(format!("{first} is after {last}; swap them")));
    }
    let why = format!("{first}-{last} is not in a known subnet");
    let note = step.note(why, "use --subnet PREFIX, or add the plugin netmask");
    let side = draft.side(step.family);
    side.leases = true;
    side.pools.push((first, last, note));
    let kept = "its leases are not converted: clients keep their addresses by requesting them";
    draft.notes.push(step.note(kept, "leave conflictProbe set to true until they have"));
    if time.is_empty() { Ok(()) } else { lease_time(draft, step, time.first()) }
}

fn lease_time(draft: &mut Draft, step: &Step<'_>, time: Option<&String>) -> Result<(), Error> {
    let time = time.ok_or_else(|| step.fail("has no duration; specify one, for example `1h`"))?;
    match refusal_in_subnet(&format!("leaseTime: {}", quote(time))) {
        None => draft.side(step.family).lease_time = Some(time.clone()),
        Some(why) => draft.notes.push(step.note(why, "set leaseTime of the subnets")),
    }
    Ok(())
}

fn mtu(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    let mtu = step.plugin.args.first().filter(|mtu| mtu.parse::<u16>().is_ok());
    let mtu = mtu.ok_or_else(|| step.fail("is not a number from 68 to 65535; correct it"))?;
    match (step.family, refusal_in_subnet(&format!("mtu: {mtu}"))) {
        (Family::V6, _) => {
            let why = "DHCPv6 has no option for it";
            draft.notes.push(step.note(why, "use router advertisements instead"));
        }
        (Family::V4, Some(why)) => draft.notes.push(step.note(why, "set mtu of the subnets")),
        (Family::V4, None) => draft.v4.mtu = Some(mtu.clone()),
    }
    Ok(())
}

fn static_routes(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    for text in &step.plugin.args {
        let (to, via) = text
            .split_once(',')
            .ok_or_else(|| step.fail(format!("`{text}` is not a route; use `SUBNET,ROUTER`")))?;
        let route = format!("routes: [{{ to: {}, via: {} }}]", quote(to), quote(via));
        let is_known = draft.side(step.family).routes.iter().any(|(other, _)| other == to);
        match (step.family, refusal_in_subnet(&route)) {
            (Family::V6, _) => {
                let why = "DHCPv6 has no option for routes";
                draft.notes.push(step.note(why, "use router advertisements instead"));
            }
            (Family::V4, Some(why)) => draft.notes.push(step.note(why, "set routes by hand")),
            (Family::V4, None) if is_known => {
                let why = format!("there are two routes to {to}");
                draft.notes.push(step.note(why, "check that the first one is intended"));
            }
            (Family::V4, None) => draft.v4.routes.push((to.to_owned(), via.to_owned())),
        }
    }
    Ok(())
}

/// Lines with a MAC address and an IP address.
fn reservations(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    let file = step.file(files)?;
    draft.side(step.family).leases = true;
    for (line, text) in (1_u64..).zip(file.text.lines()) {
        let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(mac), ip) = (words.next(), words.next()) else { continue };
        let parsed = ip.and_then(|ip| Some((mac.parse::<MacAddr>().ok()?, ip.parse().ok()?)));
        let Some((mac, ip)) = parsed else {
            let problem = format!("`{}` is not a MAC address and an IP address", text.trim());
            let (file, field) = (file.name.clone(), step.plugin.name.clone());
            return Err(Error::Field {
                file,
                line,
                field,
                problem: format!("{problem}; correct it"),
            });
        };
        let why = format!("{ip} is not in a known subnet, or is already reserved");
        let note: Note = step.note_in(&file.name, line, why, "use --subnet PREFIX");
        draft.side(step.family).reservations.push((mac, ip, note));
    }
    Ok(())
}

/// One boot file for all clients.
fn nbp(draft: &mut Draft, step: &Step<'_>) -> Result<(), Error> {
    let [url] = &step.plugin.args[..] else {
        return Err(step.fail("specify one URL, for example `tftp://10.0.0.1/file`"));
    };
    let field = if url.starts_with("tftp://") { "uefi" } else { "http" };
    draft.boot(step, (step.main.name(), step.plugin.line), field, url);
    let why = format!(
        "is sent to all clients by FeDHCP, but only to x86-64 UEFI by netboot (boot.{field})"
    );
    draft.notes.push(step.note(why, "set the other fields of boot for other architectures"));
    Ok(())
}
