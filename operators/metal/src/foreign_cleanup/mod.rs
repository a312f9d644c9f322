//! Removes finalizers and owner references that ironcore's operators have left, which would block
//! deletion or delete too much, after doing what a finalizer was there for.

mod before_deletion;
mod watch;

pub(crate) use watch::{offer_changed, watch};

use crate::{Context, Error, MANAGER};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ObjectMeta},
};
use metal_api::{
    BiosSettings, BiosSettingsSet, BiosVersion, BiosVersionSet, Bmc, BmcSecret, BmcSettings,
    BmcSettingsSet, BmcUser, BmcVersion, BmcVersionSet, Endpoint, ServerMaintenance,
    ServerReadinessRule,
};
use metal_core::foreign_cleanup::{Kind, remaining};
use metal_runtime::{
    MetadataChange, OkIf,
    controller::Pass,
    patch_metadata,
    work::{Next, Work},
};
use std::sync::Arc;

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, if its kind is namespaced.
    pub namespace: Option<String>,
    /// Its namespace and name.
    pub name: String,
}

/// The controller.
pub(crate) struct ForeignCleanup<C>(pub Arc<Context<C>>);

impl<C: Send + Sync + 'static> Pass for ForeignCleanup<C> {
    type Key = Key;
    type Passed = Next;
    type Error = Error;

    fn concerned(&self, key: &Key, _: Option<&Error>) -> Vec<ObjectReference> {
        vec![reference(key)]
    }

    async fn pass(&self, _: &Work<Key>, key: Key) -> Result<Next, Error> {
        if key.kind == Kind::Endpoint {
            // Before the garbage collector finds them with an owner that is gone.
            for kind in [Kind::Bmc, Kind::BmcSecret] {
                clean(&self.0, &Key { kind, ..key.clone() }).await?;
            }
        }
        clean(&self.0, &key).await?;
        Ok(Next::Wait)
    }
}

async fn clean<C>(ctx: &Context<C>, key: &Key) -> Result<(), Error> {
    let (api, what) = (objects(&ctx.client, key), key.kind.into());
    let seen = api.get_metadata_opt(&key.name).await.map_err(Error::read(what))?;
    let Some(seen) = seen else { return Ok(()) };
    let Some(rest) = remaining(key.kind, &seen.metadata) else { return Ok(()) };
    if rest.finalizers.is_some() {
        before_deletion::run(ctx, key).await?;
    }
    let change = MetadataChange {
        finalizers: rest.finalizers.as_deref(),
        owner_references: rest.owner_references.as_deref(),
        ..MetadataChange::default()
    };
    let patched = patch_metadata(&api, &seen.metadata, &change, MANAGER).await.ok_if_not_found();
    if let Some(new) = patched.map_err(Error::write(what))? {
        seen_at_once(ctx, key.kind, &seen.metadata, new);
        tracing::info!(
            kind = what,
            name = key.name,
            "removed finalizers and owner references of another version"
        );
    }
    Ok(())
}

/// Updates the index, for kinds that are watched.
fn seen_at_once<C>(ctx: &Context<C>, kind: Kind, seen: &ObjectMeta, new: ObjectMeta) {
    match kind {
        Kind::Endpoint => drop(ctx.view.endpoints.wrote_metadata(seen, new)),
        Kind::Bmc => drop(ctx.view.bmcs.wrote_metadata(seen, new)),
        Kind::BmcSecret => drop(ctx.view.secrets.wrote_metadata(seen, new)),
        Kind::ServerMaintenance
        | Kind::ServerReadinessRule
        | Kind::BmcUser
        | Kind::BiosSettings
        | Kind::BiosSettingsSet
        | Kind::BiosVersion
        | Kind::BiosVersionSet
        | Kind::BmcSettings
        | Kind::BmcSettingsSet
        | Kind::BmcVersion
        | Kind::BmcVersionSet => {}
    }
}

/// The object with a key, for events.
pub(crate) fn reference(key: &Key) -> ObjectReference {
    let resource = resource(key.kind);
    ObjectReference {
        api_version: Some(resource.api_version),
        kind: Some(resource.kind),
        namespace: key.namespace.clone(),
        name: Some(key.name.clone()),
        ..ObjectReference::default()
    }
}

/// The API for the object with a key.
pub(crate) fn objects(client: &Client, key: &Key) -> Api<DynamicObject> {
    let resource = resource(key.kind);
    match &key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// The API resource of a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Endpoint => ApiResource::erase::<Endpoint>(&()),
        Kind::Bmc => ApiResource::erase::<Bmc>(&()),
        Kind::BmcSecret => ApiResource::erase::<BmcSecret>(&()),
        Kind::BmcUser => ApiResource::erase::<BmcUser>(&()),
        Kind::ServerMaintenance => ApiResource::erase::<ServerMaintenance>(&()),
        Kind::ServerReadinessRule => ApiResource::erase::<ServerReadinessRule>(&()),
        Kind::BiosSettings => ApiResource::erase::<BiosSettings>(&()),
        Kind::BiosSettingsSet => ApiResource::erase::<BiosSettingsSet>(&()),
        Kind::BiosVersion => ApiResource::erase::<BiosVersion>(&()),
        Kind::BiosVersionSet => ApiResource::erase::<BiosVersionSet>(&()),
        Kind::BmcSettings => ApiResource::erase::<BmcSettings>(&()),
        Kind::BmcSettingsSet => ApiResource::erase::<BmcSettingsSet>(&()),
        Kind::BmcVersion => ApiResource::erase::<BmcVersion>(&()),
        Kind::BmcVersionSet => ApiResource::erase::<BmcVersionSet>(&()),
    }
}
