//! Logins for the registry of an image, from the Secrets that its Machines name.

use super::{Again, Failure};
use crate::{Context, images::Key};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_image::{Logins, Name, Opener};
use metal_machine::provisioning::pull_secret::{named, version};
use metal_runtime::{OkIf, report::Chain};
use std::time::Duration;
use tokio::time::timeout;

/// How long the API server is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Logins, and what they are from.
pub(super) struct Opening {
    pub(super) logins: Logins,
    pub(super) opener: Opener,
}

/// Reads the Secrets of an image. They are read each time, one by one: what was deleted no longer counts.
///
/// # Errors
///
/// One is not usable, or there is no login for the registry in any, or the API server is silent.
pub(super) async fn read(ctx: &Context, key: &Key, image: &Name) -> Result<Opening, Failure> {
    let namespace = &ctx.pull_secret_namespace;
    let secrets = Api::<Secret>::namespaced(ctx.client.clone(), namespace);
    let unusable = |reason, message: String| Failure { reason, message, again: Again::Refused };
    let (mut all, mut versions) = (vec![], vec![]);
    for name in &key.secrets {
        let named = named(namespace, name);
        named.check_name().map_err(|wrong| unusable(wrong.reason(), wrong.to_string()))?;
        let asked = async { secrets.get(name).await.ok_if_not_found() };
        let found = timeout(PATIENCE, asked).await;
        let found = found.map_err(|_| silent(name, "it does not answer in time"))?;
        let found = found.map_err(|error| silent(name, &Chain(&error).to_string()))?;
        let text = named.content(found.as_ref());
        let text = text.map_err(|wrong| unusable(wrong.reason(), wrong.to_string()))?;
        all.push(Logins::parse(text).map_err(|wrong| {
            unusable("PullSecretUnusable", format!("Secret {namespace}/{name}: {wrong}"))
        })?);
        versions.extend(found.as_ref().map(version));
    }
    let logins = Logins::joined(all);
    if !key.secrets.is_empty() && !logins.has(image) {
        let (registry, names) = (image.registry(), key.secrets.join(", "));
        let message =
            format!("no Secret of spec.pxe.imagePullSecrets ({names}) has a login for {registry}");
        return Err(unusable("LoginMissing", message));
    }
    let opener = Opener { name: key.secrets.join(","), version: versions.join(",") };
    Ok(Opening { logins, opener })
}

fn silent(name: &str, why: &str) -> Failure {
    let message = format!("the API server does not give Secret {name} out: {why}");
    Failure { reason: "PullSecretUnread", message, again: Again::Silent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, Response, StatusCode};
    use kube::{
        Client,
        client::Body,
        runtime::events::{Recorder, Reporter as Source},
    };
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_secret_is_not_missing_because_a_proxy_in_place_of_the_api_server_has_no_page() {
        let proxy = tower::service_fn(async |_: Request<Body>| {
            let mut page = Response::new(Body::from(b"404 page not found".to_vec()));
            *page.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(page)
        });
        let client = Client::new(proxy, "default");
        let recorder = Recorder::new(client.clone(), Source::from("metalman"));
        let ctx = Context::new(client, recorder, "joining", None);
        let (image, secrets) = ("quay.io/a/b:1".to_owned(), vec!["login".to_owned()]);
        let key = Key { image, architecture: "amd64".to_owned(), secrets };
        let Err(failure) = read(&ctx, &key, &"quay.io/a/b".parse().unwrap()).await else {
            panic!("there are logins");
        };
        // What is refused is no longer served.
        assert_eq!((failure.reason, failure.again), ("PullSecretUnread", Again::Silent));
    }
}
