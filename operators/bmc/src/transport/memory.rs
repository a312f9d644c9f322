//! What is remembered of one BMC: the forms of writes that it accepts, and properties that do not
//! change.

use crate::transport::form::{self, Form, Kind, WriteTarget};
use metal_base::Locked;
use metal_core::redfish::{BootEnabled, BootMode, BootReading, BootSource, ResetType};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// At most this many resources are remembered. Beyond that, all are forgotten.
const RESOURCES: usize = 128;
/// At most this many refused forms are remembered of a kind of write: more than there are.
const REFUSED: usize = 128;
/// For how long a resource is not read again for something that it did not have.
const HIDDEN: Duration = Duration::from_mins(10);

/// What is remembered of one BMC. All of it may be lost. It is dropped when the BMC goes away,
/// because its firmware may have changed when it is back.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    forms: HashMap<Kind, Form>,
    /// Forms in which earlier calls were refused, where others were left.
    refused: HashMap<Kind, Vec<Form>>,
    /// By system, the forms in which a boot override was accepted since the last reset but did not
    /// become visible.
    unseen: HashMap<String, PendingOverride>,
    /// The allowable values in an `ActionInfo`, by its path.
    allowed: HashMap<String, Vec<String>>,
    /// Settings resources that have no boot settings, and those that could not be read, with the
    /// time until when they count as having none.
    without_boot: HashMap<String, Option<Instant>>,
    /// Resources that gave no answer the last time.
    silent: HashSet<String>,
    /// Reset types refused by a BMC that does not list allowable ones.
    denied: Vec<ResetType>,
    /// The links of each system to its parts, as JSON text, until they are used: that is once, as a
    /// rule, and there may be thousands of BMCs.
    parts: HashMap<String, Option<Box<str>>>,
    /// By system, the only manager that it links to, if there is one.
    managers: HashMap<String, Option<String>>,
}

/// A boot override that is not visible yet.
#[derive(Default)]
struct PendingOverride {
    forms: Vec<Form>,
    /// The values to be seen.
    wanted: Option<(BootSource, Option<BootMode>)>,
}

impl Memory {
    /// The form in which a write of this kind was accepted.
    pub(crate) fn form(&self, kind: Kind) -> Option<Form> {
        self.lock().forms.get(&kind).cloned()
    }

    pub(crate) fn took(&self, kind: Kind, form: Form) {
        self.lock().forms.insert(kind, form);
    }

    /// Forms in which earlier calls were refused. Others are left.
    pub(crate) fn refused(&self, kind: Kind) -> Vec<Form> {
        self.lock().refused.get(&kind).cloned().unwrap_or_default()
    }

    /// A call was refused in these forms, and others are left.
    pub(crate) fn refuses(&self, kind: Kind, forms: &[Form]) {
        let mut inner = self.lock();
        let known = inner.refused.entry(kind).or_default();
        // More than there are: the list is begun anew.
        if known.len() + forms.len() > REFUSED {
            known.clear();
        }
        known.extend_from_slice(forms);
    }

    /// The next call begins with the first form again.
    pub(crate) fn begins_anew(&self, kind: Kind) {
        self.lock().refused.remove(&kind);
    }

    /// Forms that were accepted and had no effect.
    pub(crate) fn unseen(&self, uri: &str) -> Vec<Form> {
        self.lock().unseen.get(uri).map(|unseen| unseen.forms.clone()).unwrap_or_default()
    }

    /// A write was accepted in this form. Its effect has yet to be seen.
    pub(crate) fn waits_for(&self, uri: &str, form: Form, wanted: (BootSource, Option<BootMode>)) {
        let mut inner = self.lock();
        bound(&mut inner.unseen);
        let unseen = inner.unseen.entry(uri.to_owned()).or_default();
        unseen.wanted = Some(wanted);
        if unseen.forms.len() < form::MOST {
            unseen.forms.push(form);
        }
    }

    /// The boot settings of a system were read: compares them with what was written.
    pub(crate) fn saw_boot(&self, uri: &str, boot: &BootReading) {
        let mut inner = self.lock();
        let wanted = inner.unseen.get(uri).and_then(|unseen| unseen.wanted);
        if wanted.is_some_and(|wanted| is_seen(boot, wanted)) {
            inner.unseen.remove(uri);
        }
    }

    /// The effect was seen, or nobody waits for it any longer.
    pub(crate) fn saw_effect(&self, uri: &str) {
        self.lock().unseen.remove(uri);
    }

    /// Where boot overrides were accepted.
    pub(crate) fn place_of_boot(&self) -> Option<WriteTarget> {
        self.form(Kind::BootOverride).map(|form| form.place)
    }

    pub(crate) fn allowed(&self, info: &str) -> Option<Vec<String>> {
        self.lock().allowed.get(info).cloned()
    }

    pub(crate) fn allows(&self, info: &str, types: Vec<String>) {
        let mut inner = self.lock();
        bound(&mut inner.allowed);
        inner.allowed.insert(info.to_owned(), types);
    }

    pub(crate) fn denied(&self) -> Vec<ResetType> {
        self.lock().denied.clone()
    }

    pub(crate) fn denies(&self, reset: ResetType) {
        let mut inner = self.lock();
        if !inner.denied.contains(&reset) {
            inner.denied.push(reset);
        }
    }

    /// Whether a settings resource may have boot settings.
    pub(crate) fn may_have_boot(&self, settings: &str) -> bool {
        let inner = self.lock();
        let until = inner.without_boot.get(settings);
        until.is_none_or(|until| until.is_some_and(|until| until <= Instant::now()))
    }

    /// It has none.
    pub(crate) fn has_no_boot(&self, settings: &str) {
        let mut inner = self.lock();
        bound(&mut inner.without_boot);
        inner.without_boot.insert(settings.to_owned(), None);
    }

    /// It cannot be read.
    pub(crate) fn hides_boot(&self, settings: &str) {
        let mut inner = self.lock();
        bound(&mut inner.without_boot);
        inner.without_boot.insert(settings.to_owned(), Some(Instant::now() + HIDDEN));
    }

    /// Whether a resource gave no answer the last time.
    pub(crate) fn is_silent(&self, uri: &str) -> bool {
        self.lock().silent.contains(uri)
    }

    /// Records whether a resource gave an answer.
    pub(crate) fn answered(&self, uri: &str, answered: bool) {
        let mut inner = self.lock();
        if answered {
            inner.silent.remove(uri);
        } else if inner.silent.len() < RESOURCES {
            inner.silent.insert(uri.to_owned());
        }
    }

    /// A system was read.
    pub(crate) fn saw(&self, uri: &str, system: &Value) {
        const LONGEST: usize = 4 << 10;
        let manager = match system["Links"]["ManagedBy"].as_array().map(Vec::as_slice) {
            Some([one]) => one["@odata.id"].as_str().filter(|link| link.len() <= LONGEST),
            _ => None,
        };
        let mut inner = self.lock();
        if inner.managers.len() < RESOURCES || inner.managers.contains_key(uri) {
            inner.managers.insert(uri.to_owned(), manager.map(str::to_owned));
        }
        if matches!(inner.parts.get(uri), Some(None)) {
            return;
        }
        let links = ["Processors", "Storage", "SimpleStorage"];
        let parts: Value = links
            .iter()
            .filter(|name| !system[**name].is_null())
            .map(|name| ((*name).to_owned(), json!({"@odata.id": system[*name]["@odata.id"]})))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let parts = parts.to_string().into_boxed_str();
        if parts.len() <= LONGEST {
            bound(&mut inner.parts);
            inner.parts.insert(uri.to_owned(), Some(parts));
        }
    }

    /// The manager of the systems that were read, if each of them links to this one only.
    pub(crate) fn manager(&self) -> Option<String> {
        let inner = self.lock();
        let mut links = inner.managers.values();
        let first = links.next()?.as_ref()?;
        links.all(|link| link.as_ref() == Some(first)).then(|| first.clone())
    }

    /// The links of a system to its parts, if it was read and they have not been taken yet.
    pub(crate) fn take_parts_of(&self, uri: &str) -> Option<Value> {
        let parts = self.lock().parts.get_mut(uri)?.take()?;
        serde_json::from_str(&parts).ok()
    }

    pub(crate) fn forget(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.locked()
    }
}

/// Whether an override is visible as it was written. Some firmware shows one way of network boot as
/// the other (sushy-emulator 2.2), or no mode.
fn is_seen(boot: &BootReading, (source, mode): (BootSource, Option<BootMode>)) -> bool {
    if source == BootSource::None {
        return boot.enabled == BootEnabled::Disabled || boot.target == Some(source);
    }
    let of_network = |source| matches!(source, BootSource::Pxe | BootSource::UefiHttp);
    let is_source = |shown| shown == source || (of_network(shown) && of_network(source));
    boot.enabled != BootEnabled::Disabled
        && boot.target.is_some_and(is_source)
        && mode.is_none_or(|mode| boot.mode.is_none_or(|shown| shown == mode))
        && !(source == BootSource::UefiHttp && boot.has_http_boot_uri)
}

fn bound<T>(map: &mut HashMap<String, T>) {
    if map.len() >= RESOURCES {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_that_of_all_systems_in_whatever_order_they_are_read() {
        let system = |managers: Value| json!({"Links": {"ManagedBy": managers}});
        let (named, unnamed) = (system(json!([{"@odata.id": "/m/1"}])), system(json!([])));
        for [first, second] in [[&named, &unnamed], [&unnamed, &named]] {
            let memory = Memory::default();
            memory.saw("/s/1", first);
            memory.saw("/s/2", second);
            assert_eq!(memory.manager(), None);
            memory.saw("/s/1", &named);
            memory.saw("/s/2", &named);
            assert_eq!(memory.manager().as_deref(), Some("/m/1"));
        }
    }
}
