//! Chooses among the boot configs with an identity the one that a machine gets, in its boot window
//! and at its address.

use super::{AppState, client_address, identity::Requester};
use crate::{
    args::OutsideWindow,
    config::{BootConfig, owner},
    config_ref::{ConfigRef, named},
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

    /// Whether its boot window is open, and who asks from an address with these servers may be its machine.
    fn is_due(&self, asks: &[Arc<Server>]) -> bool {
        let is_it = |server: &Arc<Server>| server.metadata.name.as_ref() == Some(&self.server);
        self.closes.is_some() && (asks.is_empty() || asks.iter().any(is_it))
    }
}

/// The one of `found` that a machine gets.
///
/// `is_meant` decides whether the boot method matches the request; without a boot method, every
/// request matches.
pub(super) fn choose<K: BootConfig>(
    state: &AppState,
    is_meant: fn(Method) -> bool,
    asker: &Requester,
    found: &[Arc<K>],
) -> Result<Chosen<K>, Refusal> {
    let view = &*state.view;
    if !view.may_answer() {
        return Err(Refusal::Starting);
    }
    let asks = view.servers_at(&asker.addresses(), Timestamp::now());
    let found: Vec<_> = found.iter().map(|config| Found::new(view, config, &asks)).collect();
    let candidates: Vec<_> = found.iter().map(Found::as_candidate).collect();
    let found = &found[select(&candidates)?];
    found.permit(is_meant)?;
    let mut chosen = found.chosen();
    // Who may not have it is not told whether it is ready.
    if *asker != Requester::Medium {
        found.admit(state, asker, &asks, &mut chosen)?;
    }
    if found.is_ready() {
        return Ok(chosen);
    }
    // Only in its window it is certain that the machine is to boot this, and not its disk.
    let is_due = chosen.closes.is_some();
    Err(if is_due { Refusal::NotYet { server: chosen.server } } else { Refusal::NotReady })
}

/// A boot config with the identity of the machine.
struct Found<K> {
    config: Arc<K>,
    owner: Owned,
    /// The servers that it is about.
    servers: Vec<Arc<Server>>,
}

/// The owner of a boot config.
enum Owned {
    ByNobody,
    ByGone,
    By(Arc<ServerBootConfiguration>),
}

impl<K: BootConfig> Found<K> {
    /// One that a person made is no server's, whether it names the server by its UUID or by its address, or
    /// a server `asks` for it.
    fn new(view: &View, config: &Arc<K>, asks: &[Arc<Server>]) -> Self {
        let owner = Owned::of(view, &**config);
        let mut servers = view.servers_of(config.uuid());
        if matches!(owner, Owned::ByNobody) {
            servers.extend(view.servers_at(config.addresses(), Timestamp::now()));
            servers.extend(asks.iter().cloned());
        }
        Self { config: Arc::clone(config), owner, servers }
    }

    fn as_candidate(&self) -> Candidate<'_> {
        let (namespace, name) = named(&*self.config);
        let owner = match &self.owner {
            Owned::ByNobody => Owner::Unknown,
            Owned::ByGone => Owner::Gone,
            Owned::By(configuration) => {
                let (namespace, name) = named(&**configuration);
                Owner::Configuration(ObjectReference { namespace, name })
            }
        };
        let servers = self.servers.iter().map(Deref::deref).collect();
        Candidate { name: format!("{namespace}/{name}"), owner, servers }
    }

    fn server(&self) -> Option<&Server> {
        self.servers.first().map(Deref::deref)
    }

    /// Whether the boot method matches the request.
    fn permit(&self, is_meant: fn(Method) -> bool) -> Result<(), Refusal> {
        let Owned::By(configuration) = &self.owner else { return Ok(()) };
        let method = Method::of(self.server(), configuration).map_err(|_| Refusal::NotCurrent)?;
        if method.is_none_or(is_meant) { Ok(()) } else { Err(Refusal::NotCurrent) }
    }

    /// Whether it may be booted.
    fn is_ready(&self) -> bool {
        match &self.owner {
            Owned::By(configuration) => {
                let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
                state == Some(&BootState::Ready)
            }
            Owned::ByNobody | Owned::ByGone => self.config.state() != Some(&BootState::Error),
        }
    }

    fn chosen(&self) -> Chosen<K> {
        let (boot, server) = match &self.owner {
            Owned::By(configuration) => {
                (configuration.metadata.uid.clone(), configuration.spec.server_ref.name.clone())
            }
            Owned::ByNobody | Owned::ByGone => {
                let uuid = self.config.uuid().map(|uuid| uuid.to_string());
                (self.config.meta().uid.clone(), uuid.unwrap_or_default())
            }
        };
        Chosen {
            config: Arc::clone(&self.config),
            reference: self.config.config_ref(),
            boot: boot.unwrap_or_default(),
            server,
            closes: None,
        }
    }

    /// Whether a machine may fetch what it boots, now and from this address, at which these servers are.
    fn admit(
        &self,
        state: &AppState,
        asker: &Requester,
        asks: &[Arc<Server>],
        chosen: &mut Chosen<K>,
    ) -> Result<(), Refusal> {
        let server = self.server();
        if state.outside == OutsideWindow::Refuse
            && let (Owned::By(configuration), Some(server)) = (&self.owner, server)
        {
            let held = server.status.as_ref().and_then(|status| status.boot_window.as_ref());
            let holds = held.is_some_and(|window| state.windows.holds(&chosen.server, window));
            let closes = window::closes(server, configuration, Timestamp::now());
            chosen.closes = closes.filter(|_| holds);
            if chosen.closes.is_none() {
                return Err(Refusal::Closed { server: chosen.server.clone() });
            }
        }
        let is_by_hand = matches!(self.owner, Owned::ByNobody);
        let known = client_address::known(state, server, self.config.addresses(), is_by_hand);
        if client_address::may_be(state, asker, &known) {
            return Ok(());
        }
        let (server, from) = (chosen.server.clone(), asker.address());
        let is_due = chosen.is_due(asks);
        Err(Refusal::Elsewhere { server, from, leased: known.leased, is_due })
    }
}

impl Owned {
    fn of<K: BootConfig>(view: &View, config: &K) -> Self {
        let Some((name, uid)) = owner(config.meta()) else { return Self::ByNobody };
        let configuration = view.configurations.named(config.meta().namespace.as_deref(), name);
        match configuration.filter(|it| it.metadata.uid.as_deref() == Some(uid)) {
            Some(configuration) => Self::By(configuration),
            None => Self::ByGone,
        }
    }
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
    let chosen = choose(state, is_meant, asker, &found)?;
    if chosen.boot == claims.boot && chosen.server == claims.server {
        Ok((chosen, uuid))
    } else {
        Err(Refusal::NotCurrent)
    }
}
