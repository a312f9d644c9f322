//! Controller of `IPXEBootConfig` and `HTTPBootConfig`: keeps their status up to date.
//!
//! The leader handles all of them, and every replica records what it has served itself. Both make
//! the same decision, on the version of the object that they have seen.

mod kind;
#[cfg(test)]
mod tests;

pub(crate) use kind::{BootConfig, owner};

use crate::{
    Error,
    config_ref::{ConfigRef, Kind, named},
    context::{Context, MANAGER},
    notices::NoticeKind,
    view::{self, ConfigKey},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt as _;
use metal_api::{HttpBootConfig, IpxeBootConfig};
use metal_base::Never;
use metal_core::{
    boot::{
        Ignition, Unavailable,
        config::{Config, Decision, Fetched, Observation, Status, decide, is_news},
        not_served::{ManualBoot, not_served},
    },
    unsupported::is_ignored,
};
use metal_runtime::{
    OkIf,
    controller::{Controller, Pass},
    index::Index,
    report::Failure,
    work::{Next, Work},
};
use std::{marker::PhantomData, sync::Arc, time::Duration};

/// When to check again whether what was served has been recorded: no watch wakes a replica for
/// that.
const UNRECORDED: Duration = Duration::from_secs(5);

/// The controllers of both kinds, which share a queue.
pub(crate) struct Configs {
    ipxe: OfKind<IpxeBootConfig>,
    http: OfKind<HttpBootConfig>,
}

impl Configs {
    /// The controllers of both kinds.
    pub(crate) fn new(ctx: &Arc<Context>) -> Self {
        Self { ipxe: OfKind::new(ctx), http: OfKind::new(ctx) }
    }
}

impl Pass for Configs {
    type Key = ConfigRef;
    type Passed = Next;
    type Error = Error;

    fn concerned(&self, config: &ConfigRef, error: Option<&Error>) -> Vec<ObjectReference> {
        match config.kind {
            Kind::Ipxe => self.ipxe.concerned(config, error),
            Kind::Http => self.http.concerned(config, error),
        }
    }

    async fn pass(&self, work: &Work<ConfigRef>, config: ConfigRef) -> Result<Next, Error> {
        match config.kind {
            Kind::Ipxe => self.ipxe.pass(work, config).await,
            Kind::Http => self.http.pass(work, config).await,
        }
    }
}

/// Like [`Configs`], for what this replica has served: forgets what has been recorded.
pub(crate) struct Recording {
    ctx: Arc<Context>,
    configs: Configs,
}

impl Recording {
    /// Records what is noted in this context.
    pub(crate) fn new(ctx: &Arc<Context>) -> Self {
        Self { ctx: Arc::clone(ctx), configs: Configs::new(ctx) }
    }

    /// Whether something has yet to be recorded.
    fn is_open<K: BootConfig>(&self, config: &ConfigRef) -> bool {
        let object = K::index(&self.ctx.view).named(Some(&config.namespace), &config.name);
        object.is_some_and(|object| {
            if is_ignored(object.meta()) {
                return false;
            }
            let fetched = self.ctx.fetches.of(config, object.meta().uid.as_deref());
            fetched != Fetched::default() && is_news(object.conditions(), fetched)
        })
    }
}

impl Pass for Recording {
    type Key = ConfigRef;
    type Passed = Next;
    type Error = Error;

    fn concerned(&self, config: &ConfigRef, error: Option<&Error>) -> Vec<ObjectReference> {
        self.configs.concerned(config, error)
    }

    async fn pass(&self, work: &Work<ConfigRef>, config: ConfigRef) -> Result<Next, Error> {
        self.configs.pass(work, config.clone()).await?;
        let is_open = match config.kind {
            Kind::Ipxe => self.is_open::<IpxeBootConfig>(&config),
            Kind::Http => self.is_open::<HttpBootConfig>(&config),
        };
        if is_open {
            return Ok(Next::After(UNRECORDED));
        }
        self.ctx.fetches.forget(&config);
        Ok(Next::Wait)
    }
}

/// The controller of one kind.
struct OfKind<K> {
    ctx: Arc<Context>,
    kind: PhantomData<fn() -> K>,
}

impl<K> OfKind<K> {
    fn new(ctx: &Arc<Context>) -> Self {
        Self { ctx: Arc::clone(ctx), kind: PhantomData }
    }
}

impl<K: BootConfig> OfKind<K> {
    /// Why no machine gets a boot config that a person made.
    fn not_served(&self, object: &K) -> Option<String> {
        if owner(object.meta()).is_some() {
            return None;
        }
        let view = &self.ctx.view;
        let mut servers = view.servers_of(object.uuid());
        servers.extend(view.servers_at(object.addresses(), Timestamp::now()));
        let is_ipxe = K::KIND == Kind::Ipxe;
        let by_hand = ManualBoot {
            system_uuid: object.system_uuid().filter(|uuid| !uuid.trim().is_empty()),
            is_unique: object.uuid().is_some(),
            needs_uuid: is_ipxe || view::named(object.ignition()).is_some(),
            has_addresses: (!is_ipxe).then(|| !object.addresses().is_empty()),
            servers: servers.iter().map(|server| server.name_any()).collect(),
        };
        not_served(&by_hand).map(|why| why.to_string())
    }
}

/// What a pass knows.
struct Facts {
    ignition: Ignition,
    script: Option<Unavailable>,
    fetched: Fetched,
}

impl<K: BootConfig> Controller for OfKind<K> {
    type Object = K;
    type Key = ConfigRef;
    type IndexKey = ConfigKey;
    type Facts = Facts;
    type Status = Status;
    type Change = Never;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<K, ConfigKey> {
        K::index(&self.ctx.view)
    }

    /// Objects stored by an earlier process are no reason to write.
    fn is_ready(&self) -> bool {
        self.ctx.view.is_ready()
    }

    fn ignores(&self, object: &K) -> bool {
        object.meta().deletion_timestamp.is_some() || is_ignored(object.meta())
    }

    async fn observe(&self, object: &Arc<K>) -> Result<Facts, Error> {
        self.ctx.tell_unsupported(&**object, &object.unsupported()).await;
        self.ctx.tell_once(&**object, NoticeKind::NotServed, self.not_served(object)).await;
        let (secrets, config) = (&self.ctx.secrets, object.config_ref());
        let missed = self.ctx.fetches.missed(&config, &object.blobs());
        self.ctx.tell_once(&**object, NoticeKind::LayerMissing, missed).await;
        let failed = |error| Error::Secret(Box::new(error));
        let ignition = view::named(object.ignition());
        let ignition = secrets.ignition(&config.namespace, ignition).await.map_err(failed)?;
        let script = view::named(object.script());
        let script = secrets.script(&config.namespace, script).await.map_err(failed)?;
        let fetched = self.ctx.fetches.of(&config, object.meta().uid.as_deref());
        Ok(Facts { ignition, script, fetched })
    }

    fn decide(&self, object: &Arc<K>, facts: &Facts, _: Option<&Failure>) -> Decision {
        let meta = object.meta();
        decide(&Observation {
            config: Config {
                generation: meta.generation,
                created: meta.creation_timestamp.as_ref().map(|time| time.0),
                is_owned: owner(meta).is_some(),
                state: object.state(),
                conditions: object.conditions(),
            },
            ignition: &facts.ignition,
            script: facts.script.as_ref(),
            fetched: facts.fetched,
            now: Timestamp::now(),
        })
    }

    async fn record(&self, object: &K, status: &Status) -> Result<Next, Error> {
        let (ctx, (namespace, name)) = (&self.ctx, named(object));
        let configs = ctx.writer(self.index(), &namespace, MANAGER);
        let written = configs.apply_status(object, &K::status(status.clone())).await;
        let written =
            written.ok_if_not_found().map_err(Error::write("status of the boot config"))?;
        // It was deleted between two reads.
        let Some(written) = written else { return Ok(Next::Wait) };
        let failure = status.conditions.iter().find(|condition| condition.status == "False");
        if let Some(failure) = failure.filter(|_| object.state() != Some(&status.state)) {
            let (kind, why) = (K::kind(&()), &failure.message);
            tracing::warn!(namespace, name, %kind, why, "boot config");
            ctx.warn(object, &failure.reason, why).await;
        }
        Ok(written.into())
    }

    async fn change(&self, _: &K, change: Never) -> Result<Next, Error> {
        match change {}
    }
}
