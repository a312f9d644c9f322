//! Where the next boot comes from.

use crate::{
    Error, quirks,
    redfish::{
        forms::{self, Parameter, Write, set},
        settings, system,
    },
    transport::{
        call::{Call, Resource, failed},
        etags::Etags,
        field,
        form::Kind,
    },
};
use http::Method;
use metal_core::redfish::{BootEnabled, BootMode, BootSource, PowerState, SystemReading};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const ENABLED: &str = "BootSourceOverrideEnabled";
const TARGET: &str = "BootSourceOverrideTarget";
const MODE: &str = "BootSourceOverrideMode";
const URI: &str = "HttpBootUri";
/// How old a reading may be on which an override is written.
const FRESH: Duration = Duration::from_secs(5);

/// The BMC does not list this value as allowed, so it would refuse it.
#[derive(Debug, thiserror::Error)]
#[error("it allows only {0}")]
struct NotAllowed(String);

/// Sets the source of the next boot only. `None` clears an override.
pub(crate) async fn boot_once(
    call: &Call<'_>,
    uri: &str,
    source: BootSource,
    mode: Option<BootMode>,
) -> Result<(), Error> {
    let (resource, is_known) = match unchanged(call, uri) {
        Some(resource) => (resource, true),
        None => (call.get(uri).await?, false),
    };
    if source == BootSource::None {
        return clear(call, uri, resource).send(call).await;
    }
    if !is_known && field::word(&resource.body["PowerState"]) == Some(PowerState::Off) {
        // What was decided on a host that is off still holds.
        call.renew_permit();
    }
    let (system, settings_etags) = if is_known {
        system::of_boot(call, uri.to_owned(), &resource.body).await?
    } else {
        system::read_to_write(call, uri.to_owned(), &resource).await?
    };
    let allowable = &system.boot.allowable;
    if !allowable.is_empty() && !allowable.contains(&source) {
        let allowed: Vec<_> = allowable.iter().map(ToString::to_string).collect();
        let action = format!("boot {uri} from {source}");
        return Err(failed(action, NotAllowed(allowed.join(", "))));
    }
    let unseen = call.memory().unseen(uri);
    let write = NextBoot { source, mode }.write(uri, resource, &system);
    Write { settings_etags, unseen, ..write }.send(call).await
}

/// Where the next boot is to come from.
#[derive(Clone, Copy)]
struct NextBoot {
    source: BootSource,
    mode: Option<BootMode>,
}

impl NextBoot {
    /// The write that sets it. Some firmware has no `BootSourceOverrideEnabled`, and takes none.
    fn write<'a>(self, uri: &'a str, resource: Resource, system: &SystemReading) -> Write<'a> {
        let boot = &resource.body["Boot"];
        let mut change = json!({TARGET: spelled(boot, TARGET, &self.source)});
        let sent = quirks::mode_to_send(self.mode, system, boot.get(MODE).is_some());
        let mut sets = vec![set([ENABLED]), set([ENABLED, MODE])];
        if sent.is_some() {
            sets.reverse();
        }
        let mode = sent.unwrap_or_else(|| mode_of(self.mode, system));
        let mut parameters = vec![
            Parameter::new(&["Boot", MODE], spelled(boot, MODE, &mode)),
            Parameter::new(&["Boot", ENABLED], once(boot)),
            forms::apply_time(),
        ];
        let shows_uri = system.boot.has_http_boot_uri || system::boot(boot).has_http_boot_uri;
        if self.source == BootSource::UefiHttp && shows_uri {
            // What it names would be loaded in place of what DHCP says. Some firmware is rid of it by
            // an empty string, and some by null.
            change[URI] = json!("");
            sets.extend(sets.clone().into_iter().map(|it| &it | &set([URI])));
        }
        if shows_uri || boot.get(URI).is_some() {
            parameters.push(Parameter::new(&["Boot", URI], Value::Null));
        }
        if boot.get(ENABLED).is_none() {
            sets.push(&sets[0] - &set([ENABLED]));
        }
        let wanted = Some((self.source, self.mode));
        let write = write(uri, resource, &change);
        Write { kind: Kind::BootOverride, parameters, sets, wanted, ..write }
    }
}

/// The system as it was read a moment ago, if the write can be made on condition that it is still the
/// same.
fn unchanged(call: &Call<'_>, uri: &str) -> Option<Resource> {
    call.system_within(FRESH, uri).filter(|system| system.etags != Etags::default())
}

/// Clears an override.
fn clear<'a>(call: &Call<'_>, uri: &'a str, resource: Resource) -> Write<'a> {
    let (parameters, sets) = clearing(&resource.body["Boot"]);
    let mut unseen = call.memory().unseen(uri);
    unseen.retain(|form| sets.iter().any(|set| set.is_subset(&form.with)));
    let wanted = Some((BootSource::None, None));
    let write = write(uri, resource, &json!({}));
    Write { kind: Kind::NoBootOverride, parameters, sets, unseen, wanted, ..write }
}

/// The parameters that clear an override, and the sets of them to try. Some firmware takes no
/// `Disabled`, and clears it by the target `None`: alone, or with how long that is to last.
fn clearing(boot: &Value) -> (Vec<Parameter>, Vec<BTreeSet<String>>) {
    let disabled = spelled(boot, ENABLED, &BootEnabled::Disabled);
    let none = spelled(boot, TARGET, &BootSource::None);
    let lasting = once(boot);
    let mut sets = vec![
        set([disabled.as_str()]),
        set([none.as_str()]),
        set([none.as_str(), lasting.as_str()]),
    ];
    if !can_be_disabled(boot) {
        sets.rotate_left(1);
    }
    let parameters = vec![
        Parameter::choice(&["Boot", ENABLED], &disabled),
        Parameter::choice(&["Boot", ENABLED], &lasting),
        Parameter::choice(&["Boot", TARGET], &none),
        forms::apply_time(),
    ];
    (parameters, sets)
}

/// Whether an override can be disabled, as far as the BMC says what it takes.
fn can_be_disabled(boot: &Value) -> bool {
    let allowed: Vec<BootEnabled> = field::words(allowable(boot, ENABLED));
    allowed.is_empty() || allowed.contains(&BootEnabled::Disabled)
}

/// How the BMC says "once". If it has no such value, the override stays until it is changed.
fn once(boot: &Value) -> String {
    let allowed: Vec<BootEnabled> = field::words(allowable(boot, ENABLED));
    let is_continuous =
        allowed.contains(&BootEnabled::Continuous) && !allowed.contains(&BootEnabled::Once);
    let once = if is_continuous { BootEnabled::Continuous } else { BootEnabled::Once };
    spelled(boot, ENABLED, &once)
}

/// A value of a property of `Boot`, as the BMC spells it.
fn spelled(boot: &Value, name: &str, word: &impl ToString) -> String {
    field::spelled(word, allowable(boot, name))
}

fn allowable<'a>(boot: &'a Value, name: &str) -> &'a Value {
    &boot[format!("{name}@Redfish.AllowableValues")]
}

/// The mode to send if the BMC insists on one: the wanted mode if it supports it, else the current
/// one.
fn mode_of(wanted: Option<BootMode>, system: &SystemReading) -> BootMode {
    let modes = &system.boot.allowable_modes;
    let wanted = wanted.filter(|mode| modes.is_empty() || modes.contains(mode));
    wanted.or(system.boot.mode).unwrap_or(BootMode::Uefi)
}

/// Sets the persistent boot order, and clears an override that would mask it.
pub(crate) async fn boot_order(call: &Call<'_>, uri: &str, order: &[String]) -> Result<(), Error> {
    let resource = call.get(uri).await?;
    let (system, settings_etags) = system::read_to_write(call, uri.to_owned(), &resource).await?;
    let (parameters, sets) = clearing(&resource.body["Boot"]);
    let write = write(uri, resource, &json!({ "BootOrder": order }));
    let write = Write { settings_etags, ..write };
    let write = if system.boot.enabled == BootEnabled::Disabled {
        Write { kind: Kind::BootOrderAlone, ..write }
    } else {
        Write { parameters, sets, ..write }
    };
    write.send(call).await
}

fn write<'a>(uri: &'a str, resource: Resource, change: &Value) -> Write<'a> {
    Write {
        kind: Kind::BootOrder,
        method: Method::PATCH,
        uri,
        settings: settings::link(&resource.body),
        settings_etags: None,
        etags: resource.etags,
        body: json!({ "Boot": change }),
        parameters: vec![forms::apply_time()],
        sets: vec![set([])],
        present: json!({ "Boot": resource.body["Boot"] }),
        unseen: vec![],
        wanted: None,
        owner: None,
        action: format!("change {uri}"),
    }
}
