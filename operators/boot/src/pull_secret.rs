//! Logins for registries, from the Secret that `--image-pull-secret` names. They count for the images of all: whoever
//! may choose an image could have it fetched anyway, and boot from it.
//!
//! The Secret is read again twice a minute. While the API server does not answer, what was read last counts.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use metal_core::pull_secret::PullSecret;
use metal_image::{Logins, registry};
use metal_runtime::{OkIf, jittered, lacks_right, report::Chain};
use std::{convert::Infallible, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

/// The flag that names the Secret.
const FLAG: &str = "--image-pull-secret";
/// How long what was read counts.
const FRESH: Duration = Duration::from_secs(30);
/// The same if the API server did not answer.
const UNREAD: Duration = Duration::from_secs(5);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The logins, as their Secret has them.
#[derive(Default)]
pub(crate) struct RegistryLogins {
    secret: Option<(Client, PullSecret)>,
    /// What was found last, and until when it counts.
    last: Mutex<Option<(Found, Instant)>>,
}

/// What was found. The problem shows nothing of what is in the Secret.
#[derive(Clone, Default)]
struct Found {
    logins: Logins,
    problem: Option<String>,
}

/// Why there are no logins.
enum NoLogins {
    /// The Secret has none.
    Unusable(String),
    /// The API server does not say.
    Unread(String),
}

impl RegistryLogins {
    /// Those of a Secret in our own namespace.
    pub(crate) fn of(client: Client, namespace: &str, name: &str) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let secret = PullSecret { namespace, name, field: FLAG };
        Self { secret: Some((client, secret)), last: Mutex::default() }
    }

    /// The logins; none, if there is no usable Secret.
    pub(crate) async fn get(&self) -> Logins {
        self.found().await.logins
    }

    /// Reads the Secret from time to time, so that the log says soon what is wrong with it, and tells when there are
    /// other logins.
    pub(crate) async fn follow(&self, changed: impl Fn()) -> Infallible {
        let mut before = self.get().await;
        loop {
            sleep(jittered(FRESH)).await;
            let logins = self.get().await;
            if logins != before {
                changed();
                before = logins;
            }
        }
    }

    /// The end of a message that a registry has refused something: which Secret it is about.
    pub(crate) async fn hint(&self, error: &registry::Error) -> String {
        if !error.is_refusal() {
            return String::new();
        }
        let Some((_, secret)) = &self.secret else {
            return format!(", or have {FLAG} name a Secret with a login");
        };
        match (self.found().await.problem, error) {
            (Some(problem), _) => format!("; {problem}"),
            (None, registry::Error::LoginNeeded { .. }) => format!("; {secret} has none for it"),
            (None, _) => format!("; the logins are those of {secret}"),
        }
    }

    async fn found(&self) -> Found {
        let Some((client, secret)) = &self.secret else { return Found::default() };
        let mut last = self.last.lock().await;
        let before = match &*last {
            Some((found, until)) if Instant::now() < *until => return found.clone(),
            Some((found, _)) => Some(found.clone()),
            None => None,
        };
        let (found, lifetime) = match read(client, secret).await {
            Ok(logins) => (Found { logins, problem: None }, FRESH),
            Err(NoLogins::Unusable(why)) => {
                (Found { logins: Logins::default(), problem: Some(why) }, FRESH)
            }
            Err(NoLogins::Unread(why)) => {
                let unread = Found { logins: Logins::default(), problem: Some(why) };
                (before.clone().unwrap_or(unread), UNREAD)
            }
        };
        tell(secret, before.as_ref(), &found);
        *last = Some((found.clone(), Instant::now() + lifetime));
        found
    }
}

/// Logs what is new.
fn tell(secret: &PullSecret, before: Option<&Found>, found: &Found) {
    let is_new = before.is_none_or(|it| it.problem != found.problem || it.logins != found.logins);
    match &found.problem {
        Some(why) if is_new => {
            tracing::warn!(why, "images that need a login cannot be fetched");
        }
        None if is_new => tracing::info!(%secret, "logins for registries read"),
        Some(_) | None => {}
    }
}

async fn read(client: &Client, secret: &PullSecret) -> Result<Logins, NoLogins> {
    let api = Api::<Secret>::namespaced(client.clone(), &secret.namespace);
    let unread = |why: String| NoLogins::Unread(format!("{secret} cannot be read: {why}"));
    let asked = async { api.get(&secret.name).await.ok_if_not_found() };
    let found = match timeout(PATIENCE, asked).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) if lacks_right(&error) => {
            let why = format!("{secret} may not be read: a Role has to allow it");
            return Err(NoLogins::Unusable(why));
        }
        Ok(Err(error)) => return Err(unread(Chain(&error).to_string())),
        Err(_) => return Err(unread("the API server does not answer in time".to_owned())),
    };
    let content = secret.content(found.as_ref());
    let content = content.map_err(|why| NoLogins::Unusable(why.to_string()))?;
    Logins::parse(content).map_err(|why| NoLogins::Unusable(format!("{secret}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, NAMESPACE};
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use metal_image::Name;
    use std::cell::Cell;
    use tokio::time::advance;

    fn name() -> Name {
        "ghcr.io/a/b".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_secret_is_read_again_and_counts_until_the_api_server_says_otherwise() {
        let cluster = Cluster::default();
        let logins = RegistryLogins::of(cluster.client(), NAMESPACE, "pull");
        let has_one = async || logins.get().await.has(&name());
        assert!(!has_one().await, "it is missing");
        cluster.put_login("pull", "ghcr.io", "hunter2");
        assert!(!has_one().await);
        assert_eq!(cluster.reads(), 1, "it is not read for each image");
        advance(FRESH).await;
        assert!(has_one().await);
        cluster.go_down();
        for _ in 0..3 {
            advance(FRESH).await;
            assert!(has_one().await);
        }
        cluster.come_back();
        cluster.lose::<Secret>("pull");
        advance(FRESH).await;
        assert!(!has_one().await, "it was deleted");
    }

    #[tokio::test(start_paused = true)]
    async fn logins_count_on_while_a_proxy_answers_in_place_of_the_api_server() {
        let cluster = Cluster::default();
        cluster.put_login("pull", "ghcr.io", "hunter2");
        let mut logins = RegistryLogins::of(cluster.client(), NAMESPACE, "pull");
        assert!(logins.get().await.has(&name()));
        for code in [StatusCode::NOT_FOUND, StatusCode::FORBIDDEN] {
            let proxy = tower::service_fn(move |_: Request<Body>| async move {
                let mut page = Response::new(Body::from(b"none of ours".to_vec()));
                *page.status_mut() = code;
                Ok::<_, Infallible>(page)
            });
            logins.secret.as_mut().unwrap().0 = Client::new(proxy, NAMESPACE);
            advance(FRESH).await;
            assert!(logins.get().await.has(&name()), "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_secret_is_told_once() {
        let (cluster, changes) = (Cluster::default(), Cell::new(0));
        let logins = RegistryLogins::of(cluster.client(), NAMESPACE, "pull");
        let somebody = async {
            sleep(FRESH * 3).await;
            assert_eq!(changes.get(), 0);
            cluster.put_login("pull", "ghcr.io", "hunter2");
            sleep(FRESH * 6).await;
        };
        tokio::select! {
            never = logins.follow(|| changes.set(changes.get() + 1)) => match never {},
            () = somebody => {}
        }
        assert_eq!(changes.get(), 1);
    }

    #[tokio::test]
    async fn a_message_says_which_secret_is_meant_and_nothing_of_what_is_in_it() {
        let (name, cluster) = (name(), Cluster::default());
        let needed = registry::Error::LoginNeeded { registry: name.registry().clone(), name };
        let hint = async |secret: &str| {
            let logins = RegistryLogins::of(cluster.client(), NAMESPACE, secret);
            logins.hint(&needed).await
        };
        let none = RegistryLogins::default().hint(&needed).await;
        assert_eq!(none, ", or have --image-pull-secret name a Secret with a login");
        let of_flag = "of --image-pull-secret";
        assert_eq!(hint("gone").await, format!("; Secret tenant/gone {of_flag} is missing"));
        cluster.put_login("pull", "quay.io", "hunter2");
        assert_eq!(hint("pull").await, format!("; Secret tenant/pull {of_flag} has none for it"));
        cluster.put_secret("other", &[(".dockerconfigjson", "hunter2")]);
        let other = hint("other").await;
        assert!(other.contains("is not of type") && !other.contains("hunter2"), "{other}");
        cluster.go_down();
        assert!(hint("pull").await.contains("cannot be read"));
    }
}
