//! Which change of which kind wakes what.

use crate::{
    config::{BootConfig, owner},
    config_ref::{ConfigRef, Named, named},
    view::{ConfigKey, ConfigurationKey, View},
};
use kube::{ResourceExt, api::ObjectMeta};
use metal_api::{BootState, Server, ServerBootConfiguration, annotation};
use metal_core::boot::{
    config::{Fetched, is_news},
    configuration::{is_idle, network_identifiers},
};
use metal_runtime::index::Change;
use std::{collections::BTreeSet, sync::Arc};

/// Something that is due for a pass.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum WakeTarget {
    /// The controller of a ServerBootConfiguration.
    Configuration(Named),
    /// The controller of a boot config.
    Config(ConfigRef),
    /// The keeper of a server's boot, by name of the server.
    StoredBoot(String),
}

/// Everything that is woken.
pub(crate) type Wakes = BTreeSet<WakeTarget>;

/// A ServerBootConfiguration is part of the boot of its server.
pub(crate) fn configuration(_: &View, change: &Change<'_, ServerBootConfiguration>) -> Wakes {
    let server =
        |it: &ServerBootConfiguration| WakeTarget::StoredBoot(it.spec.server_ref.name.clone());
    let mut woken: Wakes = change.objects().map(|it| server(it)).collect();
    if let Change::Applied { new, .. } = change {
        woken.insert(WakeTarget::Configuration(named(&***new)));
    }
    woken
}

/// A boot config is part of boots, and its boot configuration shows what was served of it.
pub(crate) fn config<K: BootConfig>(view: &View, change: &Change<'_, K>) -> Wakes {
    let mut woken = Wakes::new();
    for config in change.objects() {
        boots_of(view, &**config, &mut woken);
    }
    match change {
        Change::Applied { old, new } => {
            if change.is_beyond_status()
                || old.is_some_and(|old| fetched(&**old) != fetched(&***new))
            {
                configurations_of(new.meta(), &mut woken);
            }
            woken.insert(WakeTarget::Config(new.config_ref()));
        }
        Change::Removed(old) => configurations_of(old.meta(), &mut woken),
        Change::Unreadable { meta, .. } => configurations_of(meta, &mut woken),
    }
    woken
}

/// What was served of a boot config.
fn fetched<K: BootConfig>(config: &K) -> [bool; 2] {
    [Fetched { script: true, ignition: false }, Fetched { script: false, ignition: true }]
        .map(|part| !is_news(config.conditions(), part))
}

/// The boots that a boot config is part of.
fn boots_of<K: BootConfig>(view: &View, config: &K, woken: &mut Wakes) {
    let namespace = config.meta().namespace.as_deref();
    let configuration = owner(config.meta());
    let configuration =
        configuration.and_then(|(name, _)| view.configurations.named(namespace, name));
    let servers = view.servers_of(config.uuid()).into_iter().map(|server| server.name_any());
    let servers = servers.chain(configuration.map(|it| it.spec.server_ref.name.clone()));
    woken.extend(servers.map(WakeTarget::StoredBoot));
}

/// The boot configuration of the same name, whether it owns the object or is waiting for its name.
fn configurations_of(meta: &ObjectMeta, woken: &mut Wakes) {
    let namespace = meta.namespace.clone().unwrap_or_default();
    let names = meta.name.as_deref().into_iter().chain(owner(meta).map(|(owner, _)| owner));
    woken.extend(names.map(|name| WakeTarget::Configuration((namespace.clone(), name.to_owned()))));
}

/// A server has a boot, and its boot configurations depend on it.
pub(crate) fn server(view: &View, change: &Change<'_, Server>) -> Wakes {
    let mut woken: Wakes = boot(change).map(WakeTarget::StoredBoot).into_iter().collect();
    let facts = |server: &Server| {
        let method = server.annotations().get(annotation::BOOT_METHOD).cloned();
        (server.spec.effective_uuid(), network_identifiers(server), is_idle(server), method)
    };
    if let Change::Applied { old: Some(old), new } = change
        && facts(old) == facts(new)
    {
        return woken;
    }
    for server in change.objects() {
        let key = ConfigurationKey::Server(server.name_any());
        woken.extend(view.configurations.get(&key).iter().map(|it| configuration_of(it)));
    }
    woken
}

/// The boot of a server that has a window, or had one.
fn boot(change: &Change<'_, Server>) -> Option<String> {
    match change {
        Change::Applied { old: Some(old), new } if !has_window(old) && !has_window(new) => None,
        Change::Applied { new: server, .. } | Change::Removed(server) => Some(server.name_any()),
        Change::Unreadable { meta, .. } => meta.name.clone(),
    }
}

fn has_window(server: &Server) -> bool {
    server.status.as_ref().is_some_and(|status| status.boot_window.is_some())
}

/// A Secret is needed by whatever refers to it.
pub(crate) fn secret(view: &View, (namespace, name): &Named) -> Wakes {
    let key = ConfigurationKey::Secret(namespace.clone(), name.clone());
    let configurations = view.configurations.get(&key);
    let mut woken: Wakes = configurations.iter().map(|it| configuration_of(it)).collect();
    let key = ConfigKey::Secret(namespace.clone(), name.clone());
    configs_with_secret(view, &view.ipxe.get(&key), &mut woken);
    configs_with_secret(view, &view.http.get(&key), &mut woken);
    woken
}

fn configs_with_secret<K: BootConfig>(view: &View, configs: &[Arc<K>], woken: &mut Wakes) {
    for config in configs {
        boots_of(view, &**config, woken);
        woken.insert(WakeTarget::Config(config.config_ref()));
    }
}

/// Everything that may wait for a Secret, and the keepers of boots in progress.
pub(crate) fn waiting(view: &View) -> Wakes {
    let is_ready = |state: Option<&BootState>| state == Some(&BootState::Ready);
    let waits = |it: &ServerBootConfiguration| {
        let state = it.status.as_ref().and_then(|status| status.state.as_ref());
        it.spec.ignition_secret_ref.is_some() && !is_ready(state)
    };
    let all = view.configurations.all();
    let mut woken: Wakes =
        all.iter().filter(|it| waits(it)).map(|it| configuration_of(it)).collect();
    let all = view.ipxe.all();
    let waiting = all.iter().filter(|it| !is_ready(it.state()));
    woken.extend(waiting.map(|it| WakeTarget::Config(it.config_ref())));
    let all = view.http.all();
    let waiting = all.iter().filter(|it| !is_ready(it.state()));
    woken.extend(waiting.map(|it| WakeTarget::Config(it.config_ref())));
    let all = view.servers.all();
    woken.extend(
        all.iter().filter(|it| has_window(it)).map(|it| WakeTarget::StoredBoot(it.name_any())),
    );
    woken
}

fn configuration_of(configuration: &ServerBootConfiguration) -> WakeTarget {
    WakeTarget::Configuration(named(configuration))
}

#[cfg(test)]
mod tests;
