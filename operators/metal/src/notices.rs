//! Reports once on each object what is set in it without effect.

use crate::{
    Context, Error,
    foreign_cleanup::{self, resource},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, runtime::events::EventType};
use metal_api::{Server, ServerClaim};
use metal_base::Locked;
use metal_core::{
    foreign_cleanup::Kind,
    unsupported::{on_bmc, on_claim, on_endpoint, on_kind, on_server},
};
use metal_runtime::{
    controller::{self, Pass},
    work::{NOT_LISTED, Next, Work},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// An Endpoint.
    Endpoint(String),
    /// A BMC.
    Bmc(String),
    /// A Server.
    Server(String),
    /// A ServerClaim, by namespace and name.
    Claim(String, String),
    /// An object of a kind that nothing acts on.
    Other(foreign_cleanup::Key),
}

/// What was reported on which object. All of it may be lost: it is reported again then.
#[derive(Debug, Default)]
pub(crate) struct LastNotices(Mutex<HashMap<Key, String>>);

impl LastNotices {
    /// Whether this has yet to be reported; forgets objects that are gone.
    fn is_news(&self, key: &Key, note: &str) -> bool {
        let mut told = self.0.locked();
        if note.is_empty() {
            told.remove(key);
            return false;
        }
        told.insert(key.clone(), note.to_owned()).is_none_or(|before| before != note)
    }
}

/// The controller.
pub(crate) struct Notices<C> {
    ctx: Arc<Context<C>>,
    told: LastNotices,
}

impl<C> Notices<C> {
    /// The controller, which has reported nothing yet.
    pub(crate) fn new(ctx: Arc<Context<C>>) -> Self {
        Self { ctx, told: LastNotices::default() }
    }
}

impl<C: Send + Sync + 'static> Pass for Notices<C> {
    type Key = Key;
    type Passed = Next;
    type Error = Error;

    fn concerned(&self, key: &Key, _: Option<&Error>) -> Vec<ObjectReference> {
        vec![reference(key)]
    }

    async fn pass(&self, _: &Work<Key>, key: Key) -> Result<Next, Error> {
        if !self.ctx.view.is_ready() {
            return Ok(Next::After(NOT_LISTED));
        }
        let found = look(&self.ctx, &key).await?;
        let note = found.as_ref().map(|(_, lines)| lines.join("; ")).unwrap_or_default();
        if self.told.is_news(&key, &note)
            && let Some((object, _)) = found
        {
            self.ctx.publish(&object, EventType::Warning, "NotSupported", note).await;
        }
        Ok(Next::Wait)
    }
}

/// The object, and what to report on it.
async fn look<C>(
    ctx: &Context<C>,
    key: &Key,
) -> Result<Option<(ObjectReference, Vec<String>)>, Error> {
    let view = &ctx.view;
    Ok(match key {
        Key::Endpoint(name) => about(view.endpoints.named(None, name), on_endpoint),
        Key::Bmc(name) => about(view.bmcs.named(None, name), |bmc| {
            on_bmc(bmc, ctx.verification, ctx.default_scheme)
        }),
        Key::Server(name) => about(view.servers.named(None, name), on_server),
        Key::Claim(namespace, name) => about(view.claims.named(Some(namespace), name), on_claim),
        Key::Other(key) => {
            let api = foreign_cleanup::objects(&ctx.client, key);
            let seen = api.get_metadata_opt(&key.name).await;
            let seen = seen.map_err(Error::read(key.kind.into()))?;
            let object = seen.map(|it| it.object_ref(&resource(key.kind)));
            object.zip(on_kind(key.kind)).map(|(object, so)| (object, vec![unattended(key, so)]))
        }
    })
}

fn unattended(key: &foreign_cleanup::Key, so: &str) -> String {
    let kind: &str = key.kind.into();
    format!("a {kind} has no effect in this version: {so}")
}

fn about<K: Resource<DynamicType = ()>>(
    object: Option<Arc<K>>,
    lines: impl FnOnce(&K) -> Vec<String>,
) -> Option<(ObjectReference, Vec<String>)> {
    object.map(|object| (object.object_ref(&()), lines(&object)))
}

/// The object with a key, for events.
fn reference(key: &Key) -> ObjectReference {
    let other = |kind, namespace: Option<&String>, name: &String| {
        let (namespace, name) = (namespace.cloned(), name.clone());
        foreign_cleanup::reference(&foreign_cleanup::Key { kind, namespace, name })
    };
    match key {
        Key::Endpoint(name) => other(Kind::Endpoint, None, name),
        Key::Bmc(name) => other(Kind::Bmc, None, name),
        Key::Server(name) => controller::reference::<Server>(name),
        Key::Claim(namespace, name) => {
            controller::reference::<ServerClaim>(&(namespace.clone(), name.clone()))
        }
        Key::Other(key) => foreign_cleanup::reference(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_news_once_and_again_when_it_changes_or_comes_back() {
        let (told, key) = (LastNotices::default(), Key::Server("server-a".to_owned()));
        assert!(!told.is_news(&key, ""));
        assert!(told.is_news(&key, "spec.power"));
        assert!(!told.is_news(&key, "spec.power"));
        assert!(told.is_news(&key, "spec.bootOrder"));
        assert!(!told.is_news(&key, ""));
        assert!(told.is_news(&key, "spec.bootOrder"));
    }
}
