//! Chooses among the boot configs with an identity the one that a machine gets, in its boot window
//! and at its address.

use super::{AppState, client_address, identity::Requester};
use crate::{
    args::OutsideWindow,
    config::{BootConfig, owner},
    config_ref::{ConfigRef, Kind, named},
    view::View,
};
use jiff::Timestamp;
use metal_api::{
    BootState, HttpBootConfig, ObjectReference, Server, ServerBootConfiguration, SystemUuid,
};
use metal_core::{
    boot::{
        Refusal,
        decision::Method,
        select::{Candidate, Owner, select},
        window,
    },
    capability::Claims,
};
use std::{ops::Deref, sync::Arc};

/// The boot config that a machine gets.
pub(super) struct Chosen<K> {
    /// The object.
    pub(super) config: Arc<K>,
    /// Its namespace and name.
    pub(super) reference: ConfigRef,
    /// What tokens are bound to: the UID of the boot configuration, or of a boot config that was
    /// created by hand.
    pub(super) boot: String,
    /// Whom tokens are for: the name of the server, or the UUID of a machine that is not a server.
    pub(super) server: String,
    /// When its boot window closes; `None` for a machine that is not a server.
    pub(super) closes: Option<Timestamp>,
}

impl<K: BootConfig> Chosen<K> {
    /// UID of the object.
    pub(super) fn uid(&self) -> &str {
        self.config.meta().uid.as_deref().unwrap_or_default()
    }
}

/// The one of `found` that a machine gets.
///
/// `is_meant` decides whether the boot method matches the request; without a boot method, every
/// request matches.
pub(super) fn choose<K: BootConfig>(
    state: &AppState,
    kind: Kind,
    is_meant: fn(Method) -> bool,
    asker: &Requester,
    found: &[Arc<K>],
) -> Result<Chosen<K>, Refusal> {
    let view = &*state.view;
    if !view.may_answer() {
        return Err(Refusal::Starting);
    }
    let owners: Vec<_> = found.iter().map(|config| owner_of(view, &**config)).collect();
    let asks = view.servers_at(&asker.addresses(), Timestamp::now());
    let pairs = found.iter().zip(&owners);
    let servers: Vec<_> =
        pairs.map(|(config, owner)| servers_of(view, &**config, owner, &asks)).collect();
    let mut candidates = vec![];
    for ((config, owner), servers) in found.iter().zip(&owners).zip(&servers) {
        let (namespace, name) = named(&**config);
        let owner = match owner {
            Owned::ByNobody => Owner::Unknown,
            Owned::ByGone => Owner::Gone,
            Owned::By(configuration) => {
                let (namespace, name) = named(&**configuration);
                Owner::Configuration(ObjectReference { namespace, name })
            }
        };
        let servers = servers.iter().map(Deref::deref).collect();
        candidates.push(Candidate { name: format!("{namespace}/{name}"), owner, servers });
    }
    let at = select(&candidates)?;
    let server = servers[at].first().map(Deref::deref);
    if let Owned::By(configuration) = &owners[at] {
        permit(is_meant, server, configuration)?;
    }
    let mut chosen = chosen(kind, &found[at], &owners[at])?;
    if *asker != Requester::Medium {
        admit(state, asker, &mut chosen, &owners[at], server)?;
    }
    Ok(chosen)
}

/// The servers that a boot config is about. One that a person made is no server's, whether it names
/// the server by its UUID or by its address, or a server `asks` for it.
fn servers_of<K: BootConfig>(
    view: &View,
    config: &K,
    owner: &Owned,
    asks: &[Arc<Server>],
) -> Vec<Arc<Server>> {
    let mut servers = view.servers_of(config.uuid());
    if matches!(owner, Owned::ByNobody) {
        servers.extend(view.servers_at(config.addresses(), Timestamp::now()));
        servers.extend(asks.iter().cloned());
    }
    servers
}

/// Whether a machine may fetch what it boots, now and from this address.
fn admit<K: BootConfig>(
    state: &AppState,
    asker: &Requester,
    chosen: &mut Chosen<K>,
    owner: &Owned,
    server: Option<&Server>,
) -> Result<(), Refusal> {
    if state.outside == OutsideWindow::Refuse
        && let (Owned::By(configuration), Some(server)) = (owner, server)
    {
        let held = server.status.as_ref().and_then(|status| status.boot_window.as_ref());
        let holds = held.is_some_and(|window| state.windows.holds(&chosen.server, window));
        let closes = window::closes(server, configuration, Timestamp::now());
        chosen.closes = closes.filter(|_| holds);
        if chosen.closes.is_none() {
            return Err(Refusal::Closed { server: chosen.server.clone() });
        }
    }
    let is_by_hand = matches!(owner, Owned::ByNobody);
    let known = client_address::known(state, server, chosen.config.addresses(), is_by_hand);
    if client_address::may_be(state, asker, &known) {
        return Ok(());
    }
    let (server, from) = (chosen.server.clone(), asker.address());
    Err(Refusal::Elsewhere { server, from, leased: known.leased })
}

/// The boot config for UEFI firmware of this very boot, which the token with `claims` is for, and
/// the UUID of its server.
pub(super) fn of_boot(
    state: &AppState,
    claims: &Claims,
    is_meant: fn(Method) -> bool,
    asker: &Requester,
) -> Result<(Chosen<HttpBootConfig>, SystemUuid), Refusal> {
    if !state.view.may_answer() {
        return Err(Refusal::Starting);
    }
    let server = state.view.servers.named(None, &claims.server).ok_or(Refusal::NotCurrent)?;
    let uuid = server.spec.effective_uuid().ok_or(Refusal::NotCurrent)?;
    let found = state.view.http_of(uuid);
    let chosen = choose(state, Kind::Http, is_meant, asker, &found)?;
    if chosen.boot == claims.boot && chosen.server == claims.server {
        Ok((chosen, uuid))
    } else {
        Err(Refusal::NotCurrent)
    }
}

/// Whether the boot method matches the request.
fn permit(
    is_meant: fn(Method) -> bool,
    server: Option<&Server>,
    configuration: &ServerBootConfiguration,
) -> Result<(), Refusal> {
    let method = Method::of(server, configuration).map_err(|_| Refusal::NotCurrent)?;
    if method.is_none_or(is_meant) { Ok(()) } else { Err(Refusal::NotCurrent) }
}

/// The owner of a boot config.
enum Owned {
    ByNobody,
    ByGone,
    By(Arc<ServerBootConfiguration>),
}

fn owner_of<K: BootConfig>(view: &View, config: &K) -> Owned {
    let Some((name, uid)) = owner(config.meta()) else { return Owned::ByNobody };
    let configuration = view.configurations.named(config.meta().namespace.as_deref(), name);
    match configuration.filter(|it| it.metadata.uid.as_deref() == Some(uid)) {
        Some(configuration) => Owned::By(configuration),
        None => Owned::ByGone,
    }
}

fn chosen<K: BootConfig>(kind: Kind, config: &Arc<K>, owned: &Owned) -> Result<Chosen<K>, Refusal> {
    let (boot, server) = match owned {
        Owned::By(configuration) => {
            let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
            if state != Some(&BootState::Ready) {
                return Err(Refusal::NotReady);
            }
            (configuration.metadata.uid.clone(), configuration.spec.server_ref.name.clone())
        }
        Owned::ByNobody | Owned::ByGone => {
            if config.state() == Some(&BootState::Error) {
                return Err(Refusal::NotReady);
            }
            let uuid = config.uuid().map(|uuid| uuid.to_string());
            (config.meta().uid.clone(), uuid.unwrap_or_default())
        }
    };
    Ok(Chosen {
        config: Arc::clone(config),
        reference: ConfigRef::new(kind, named(&**config)),
        boot: boot.unwrap_or_default(),
        server,
        closes: None,
    })
}
