//! Controller of `IPXEBootConfig` and `HTTPBootConfig`: what they show of themselves.
//!
//! The leader looks at all of them; every replica records what it has handed out itself. Both do
//! it by the same decision, on the version of the object that they have seen.

#[cfg(test)]
mod tests;

use crate::{
    Error, Next, Work,
    context::{ConfigRef, Context, Kind, MANAGER, named},
    view::{self, ConfigKey, View},
};
use jiff::Timestamp;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Resource, api::ObjectMeta};
use metal_api::{
    BootState, HttpBootConfig, HttpBootConfigStatus, IpxeBootConfig, IpxeBootConfigStatus,
    LocalObjectReference, ServerBootConfiguration,
};
use metal_core::boot::config::{Config, Decision, Fetched, Observation, Status, decide, is_news};
use metal_runtime::{
    controller::{self, Pass},
    index::Index,
    work::NOT_LISTED,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, sync::Arc, time::Duration};

/// How long nothing happens where nothing changes.
const RESYNC: Duration = Duration::from_hours(1);
/// When to look again whether what was handed out is recorded: no watch wakes a replica for that.
const UNRECORDED: Duration = Duration::from_secs(5);

/// The controller.
pub struct Configs(pub Arc<Context>);

impl Pass for Configs {
    type Key = ConfigRef;
    type Error = Error;

    fn reference(&self, config: &ConfigRef) -> ObjectReference {
        reference(config)
    }

    async fn pass(&self, _: &Work<ConfigRef>, config: ConfigRef) -> Result<Next, Error> {
        look(&self.0, &config).await
    }
}

/// As [`Configs`], for what this replica has handed out: forgets what is recorded.
pub struct Recording(pub Arc<Context>);

impl Pass for Recording {
    type Key = ConfigRef;
    type Error = Error;

    fn reference(&self, config: &ConfigRef) -> ObjectReference {
        reference(config)
    }

    async fn pass(&self, _: &Work<ConfigRef>, config: ConfigRef) -> Result<Next, Error> {
        let ctx = &self.0;
        look(ctx, &config).await?;
        let still = match config.kind {
            Kind::Ipxe => is_open(ctx, &config, find_ipxe(ctx, &config).as_deref()),
            Kind::Http => is_open(ctx, &config, find_http(ctx, &config).as_deref()),
        };
        if still {
            return Ok(Next::After(UNRECORDED));
        }
        ctx.fetches.forget(&config);
        Ok(Next::Wait)
    }
}

/// The object of a key, for events.
fn reference(config: &ConfigRef) -> ObjectReference {
    match config.kind {
        Kind::Ipxe => controller::reference::<IpxeBootConfig>(&config.named()),
        Kind::Http => controller::reference::<HttpBootConfig>(&config.named()),
    }
}

async fn look(ctx: &Context, config: &ConfigRef) -> Result<Next, Error> {
    // What an earlier process has kept is nothing to write about.
    if !ctx.view.is_ready() {
        return Ok(Next::After(NOT_LISTED));
    }
    match config.kind {
        Kind::Ipxe => match find_ipxe(ctx, config) {
            Some(object) => object_pass(ctx, config, &*object).await,
            None => Ok(Next::Wait),
        },
        Kind::Http => match find_http(ctx, config) {
            Some(object) => object_pass(ctx, config, &*object).await,
            None => Ok(Next::Wait),
        },
    }
}

/// What the two kinds have in common.
pub trait BootConfig:
    Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
{
    /// `status`.
    type Status: Serialize + Debug + Sync;

    /// Where objects of this kind are found.
    fn index(view: &View) -> &Index<Self, ConfigKey>
    where
        Self: Sized;
    /// `spec.systemUUID`.
    fn uuid(&self) -> Option<&str>;
    /// The addresses of the machine: `spec.networkIdentifiers`, or `spec.systemIPs`.
    fn addresses(&self) -> &[String];
    /// `spec.ignitionSecretRef`.
    fn ignition(&self) -> Option<&LocalObjectReference>;
    /// `spec.ipxeScriptSecretRef`, of the kind that has one.
    fn script(&self) -> Option<&LocalObjectReference>;
    /// `status.state`.
    fn state(&self) -> Option<&BootState>;
    /// `status.conditions`.
    fn conditions(&self) -> &[Condition];
    /// Our part of the status in the form of the kind.
    fn status(status: Status) -> Self::Status;
}

impl BootConfig for IpxeBootConfig {
    type Status = IpxeBootConfigStatus;

    fn index(view: &View) -> &Index<Self, ConfigKey> {
        &view.ipxe
    }

    fn uuid(&self) -> Option<&str> {
        self.spec.system_uuid.as_deref()
    }

    fn addresses(&self) -> &[String] {
        &self.spec.system_ips
    }

    fn ignition(&self) -> Option<&LocalObjectReference> {
        self.spec.ignition_secret_ref.as_ref()
    }

    fn script(&self) -> Option<&LocalObjectReference> {
        self.spec.ipxe_script_secret_ref.as_ref()
    }

    fn state(&self) -> Option<&BootState> {
        self.status.as_ref()?.state.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn status(status: Status) -> Self::Status {
        IpxeBootConfigStatus { state: Some(status.state), conditions: status.conditions }
    }
}

impl BootConfig for HttpBootConfig {
    type Status = HttpBootConfigStatus;

    fn index(view: &View) -> &Index<Self, ConfigKey> {
        &view.http
    }

    fn uuid(&self) -> Option<&str> {
        self.spec.system_uuid.as_deref()
    }

    fn addresses(&self) -> &[String] {
        &self.spec.network_identifiers
    }

    fn ignition(&self) -> Option<&LocalObjectReference> {
        self.spec.ignition_secret_ref.as_ref()
    }

    fn script(&self) -> Option<&LocalObjectReference> {
        None
    }

    fn state(&self) -> Option<&BootState> {
        self.status.as_ref()?.state.as_ref()
    }

    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    fn status(status: Status) -> Self::Status {
        HttpBootConfigStatus { state: Some(status.state), conditions: status.conditions }
    }
}

async fn object_pass<K>(ctx: &Context, config: &ConfigRef, object: &K) -> Result<Next, Error>
where
    K: BootConfig + Clone + DeserializeOwned + Serialize + Debug,
{
    let (namespace, name) = named(object);
    let failed = |error| Error::Secret(Box::new(error));
    let ignition = view::named(object.ignition());
    let ignition = ctx.secrets.ignition(&namespace, ignition).await.map_err(failed)?;
    let script = view::named(object.script());
    let script = ctx.secrets.script(&namespace, script).await.map_err(failed)?;
    let meta = object.meta();
    let seen = Observation {
        config: Config {
            generation: meta.generation,
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            is_deleted: meta.deletion_timestamp.is_some(),
            is_owned: owner(meta).is_some(),
            state: object.state(),
            conditions: object.conditions(),
        },
        ignition,
        script,
        fetched: ctx.fetches.of(config, meta.uid.as_deref()),
        now: Timestamp::now(),
    };
    let status = match decide(&seen) {
        Decision::Record(status) => status,
        Decision::Wait(time) => return Ok(Next::After(time.unsigned_abs())),
        Decision::Rest => return Ok(Next::After(RESYNC)),
    };
    let failure = status.conditions.iter().find(|condition| condition.status == "False").cloned();
    let is_new = object.state() != Some(&status.state);
    let configs = ctx.writer(K::index(&ctx.view), &namespace, MANAGER);
    let written = match configs.apply_status(object, &K::status(status)).await {
        // Gone between two looks.
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(Next::Wait),
        written => written.map_err(Error::write("status of the boot config"))?,
    };
    if let Some(failure) = failure.filter(|_| is_new) {
        tracing::warn!(namespace, name, kind = %K::kind(&()), why = failure.message, "boot config");
        ctx.warn(object, &failure.reason, &failure.message).await;
    }
    Ok(written.into())
}

fn is_open<K: BootConfig>(ctx: &Context, config: &ConfigRef, object: Option<&K>) -> bool {
    object.is_some_and(|object| {
        let fetched = ctx.fetches.of(config, object.meta().uid.as_deref());
        fetched != Fetched::default() && is_news(object.conditions(), fetched)
    })
}

fn find_ipxe(ctx: &Context, config: &ConfigRef) -> Option<Arc<IpxeBootConfig>> {
    ctx.view.ipxe.named(Some(&config.namespace), &config.name)
}

fn find_http(ctx: &Context, config: &ConfigRef) -> Option<Arc<HttpBootConfig>> {
    ctx.view.http.named(Some(&config.namespace), &config.name)
}

/// Name and UID of the ServerBootConfiguration that an object belongs to.
pub fn owner(meta: &ObjectMeta) -> Option<(&str, &str)> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    let is_ours = |kind: &str, version: &str| {
        kind == ServerBootConfiguration::kind(&())
            && version.split('/').next() == Some(&*ServerBootConfiguration::group(&()))
    };
    let owner = owners.iter().find(|owner| is_ours(&owner.kind, &owner.api_version))?;
    Some((&owner.name, &owner.uid))
}
