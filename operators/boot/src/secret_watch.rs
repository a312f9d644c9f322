//! Watches the metadata of Secrets, if that is allowed; their contents are read when they are
//! needed. Kubernetes has no permission for metadata only, so where this process must not list
//! Secrets, it periodically reads those that boots are waiting for.

use crate::{
    config_ref::named,
    context::Context,
    wakes::{self, Wakes},
};
use futures::{Stream, StreamExt};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    api::PostParams,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};
use metal_runtime::{absence, index::Ended, jittered, watch_in_pages};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often Secrets are read that boots are waiting for, without a watch.
const UNWATCHED: Duration = Duration::from_secs(10);

/// How long to wait for the API server to say whether we may watch them.
const ANSWER: Duration = Duration::from_secs(10);

/// Wakes whatever needs a Secret that has changed.
///
/// # Errors
///
/// When the watch ends, which it never should.
pub(crate) async fn follow(
    client: &Client,
    ctx: &Context,
    wake: impl Fn(Wakes),
) -> Result<(), Ended> {
    loop {
        let may = timeout(ANSWER, may_watch(client)).await;
        if matches!(may, Ok(Ok(true))) {
            let api = Api::<PartialObjectMeta<Secret>>::all(client.clone());
            watch(watch_in_pages(api), ctx, &wake).await?;
        }
        let is_refused = matches!(may, Ok(Ok(_)));
        if ctx.secrets.set_watched(false) && is_refused {
            tracing::info!(
                every = ?UNWATCHED,
                "no permission to watch Secrets: they are read on demand",
            );
        }
        sleep(jittered(UNWATCHED)).await;
        wake(wakes::waiting(&ctx.view));
    }
}

/// Wakes whatever needs a Secret that has changed, as long as watching is allowed: the permission may be
/// taken away.
async fn watch(
    events: impl Stream<Item = watcher::Result<Event<PartialObjectMeta<Secret>>>>,
    ctx: &Context,
    wake: impl Fn(Wakes),
) -> Result<(), Ended> {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Delete(secret)) => wake(changed(ctx, &secret, true)),
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                let is_gone = secret.metadata.deletion_timestamp.is_some();
                wake(changed(ctx, &secret, is_gone));
            }
            Ok(Event::InitDone) => {
                ctx.secrets.set_watched(true);
            }
            Ok(Event::Init) => {}
            // The caller says it, once.
            Err(error) if absence(&error).is_some() => {
                tracing::debug!(%error, kind = "Secret", "watch refused");
                return Ok(());
            }
            Err(error) => tracing::warn!(%error, kind = "Secret", "watch interrupted"),
        }
    }
    Err(Ended)
}

/// A Secret that was read is still valid if it has this version; whatever needs it is woken.
fn changed(ctx: &Context, secret: &PartialObjectMeta<Secret>, is_gone: bool) -> Wakes {
    let (name, version) = (named(secret), secret.metadata.resource_version.as_deref());
    ctx.secrets.forget_unless(&name, version.filter(|_| !is_gone));
    wakes::secret(&ctx.view, &name)
}

/// Whether Secrets may be listed and watched. Anybody may ask this.
async fn may_watch(client: &Client) -> Result<bool, kube::Error> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    for verb in ["list", "watch"] {
        let (verb, resource) = (Some(verb.to_owned()), Some("secrets".to_owned()));
        let attributes = ResourceAttributes { verb, resource, ..ResourceAttributes::default() };
        let resource_attributes = Some(attributes);
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes,
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let review = reviews.create(&PostParams::default(), &review).await?;
        if !review.status.is_some_and(|status| status.allowed) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::BootConfig as _,
        testing::{Cluster, Objects, configuration, context, resolver},
        wakes::WakeTarget,
    };
    use metal_api::BootState;
    use std::cell::RefCell;

    #[tokio::test(start_paused = true)]
    async fn where_secrets_may_not_be_listed_whoever_waits_for_one_looks_again_and_nobody_else() {
        let cluster = Cluster::default();
        let ctx = context(&cluster, resolver(&["ghcr.io"]));
        let mut objects = Objects::ready_for_ipxe();
        objects.configurations.push(configuration("waits", Some(BootState::Error)));
        let (waits, config) = (named(&objects.configurations[1]), objects.ipxe[0].config_ref());
        objects.fill(&ctx.view).await;
        let (client, woken) = (cluster.client(), RefCell::new(Wakes::new()));
        let follow = follow(&client, &ctx, |all| woken.borrow_mut().extend(all));
        assert!(timeout(UNWATCHED * 3, follow).await.is_err());
        let server = WakeTarget::StoredBoot("server".to_owned());
        let expected = [WakeTarget::Configuration(waits), WakeTarget::Config(config), server];
        assert_eq!(woken.into_inner(), expected.into(), "not what is ready");
        assert_eq!(cluster.reads(), 0, "nobody has tried to list them");
        let asked = cluster.take();
        assert!((2..=5).contains(&asked.len()), "{asked:?}");
        assert!(asked.iter().all(|it| it.ends_with("/selfsubjectaccessreviews")), "{asked:?}");
    }

    #[tokio::test]
    async fn a_permission_that_is_taken_away_ends_the_watch_and_an_outage_does_not() {
        let cluster = Cluster::default();
        let ctx = context(&cluster, resolver(&["ghcr.io"]));
        let failed = |code: u16| {
            let status = kube::core::Status { code, ..kube::core::Status::default() };
            Err(watcher::Error::WatchError(Box::new(status)))
        };
        let follow = |codes: &[u16]| {
            let events: Vec<_> = codes.iter().map(|code| failed(*code)).collect();
            watch(futures::stream::iter(events), &ctx, drop)
        };
        ctx.secrets.set_watched(false);
        assert!(follow(&[410, 500, 403, 500]).await.is_ok());
        assert!(follow(&[410, 500]).await.is_err(), "only the end of the stream ends it");
        assert!(!ctx.secrets.set_watched(false), "none was listed");
        let listed = futures::stream::iter([Ok(Event::InitDone), failed(403)]);
        assert!(watch(listed, &ctx, drop).await.is_ok());
        assert!(ctx.secrets.set_watched(false), "they were watched until then");
    }
}
