//! Logins for the registries of a token's images, from the Secrets that it names in its own namespace.
//!
//! This server may read no Secret of an organization by itself: a Role there lets it read each one by its
//! name. They are read again as often as somebody asks for an image, by all who ask within a moment together;
//! while the API server gives no answer, what was read last counts, so that an installation goes on.

use crate::{context::Context, memory_permits::MemoryPermits};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_api::BootToken;
use metal_base::Locked;
use metal_core::{
    boot_token::{
        installer::writes_disk_image,
        login::{FIELD, NoLogin, images, secrets},
    },
    pull_secret::PullSecret,
};
use metal_image::{Logins, Name, Reference};
use metal_runtime::report::Chain;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// How long what was read is used.
const FRESH: Duration = Duration::from_secs(5);
/// How long it is kept for the time in which the API server gives no answer: an installation takes no longer.
const LONG: Duration = Duration::from_hours(4);
/// Sets of Secrets that are kept, of all organizations and of one. Of more, the oldest of the organization that has
/// the most goes.
const KEPT: usize = 128;
const OF_ONE: usize = KEPT / 4;
/// Sets that are read at a time, of all and of one: a Secret may have 1 MiB.
const AT_A_TIME: usize = 4;
const OF_ONE_AT_A_TIME: usize = 2;
/// How long one waits for its turn, and for the API server.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest that the Secrets of a token may be together, in bytes.
const LONGEST: usize = 16 << 10;

/// What was read of Secrets lately.
#[derive(Debug)]
pub(crate) struct PullSecrets {
    looks: Mutex<HashMap<Key, Look>>,
    turns: MemoryPermits,
}

/// A namespace, and the names of Secrets in it.
type Key = (String, Vec<String>);

type Found = Result<Logins, NoLogin>;

#[derive(Debug)]
struct Look {
    begun: Instant,
    found: Arc<OnceCell<Found>>,
    /// What the one before has found.
    before: Option<Logins>,
}

impl Look {
    fn logins(&self) -> Option<Logins> {
        match self.found.get() {
            Some(found) => found.clone().ok(),
            None => self.before.clone(),
        }
    }
}

impl Default for PullSecrets {
    fn default() -> Self {
        let turns = MemoryPermits::new(AT_A_TIME, OF_ONE_AT_A_TIME);
        Self { looks: Mutex::default(), turns }
    }
}

/// The logins of a token for its images; none, if it names no Secrets.
///
/// # Errors
///
/// If a Secret cannot be read or used, or they have no login for any of its images.
pub(crate) async fn logins(ctx: &Context, token: &BootToken) -> Found {
    let secrets = secrets(token);
    let Some(first) = secrets.first() else { return Ok(Logins::default()) };
    let logins = ctx.pull_secrets.look(first, &secrets, read(ctx, &secrets)).await?;
    is_of_use(ctx, token, &logins)?;
    Ok(logins)
}

/// The logins with which an image of a token is fetched: those of the server, for its own installer.
///
/// # Errors
///
/// As for [`logins`].
pub(crate) async fn logins_for(ctx: &Context, token: &BootToken, image: &str) -> Found {
    let Some(secret) = ctx.installer_secret.as_ref().filter(|_| is_ours(ctx, image)) else {
        return logins(ctx, token).await;
    };
    let one = std::slice::from_ref(secret);
    let logins = ctx.pull_secrets.look(secret, one, read(ctx, one)).await?;
    match image.parse::<Reference>() {
        Ok(image) if !logins.has(&image.name) => {
            Err(NoLogin::Missing(secret.field, image.name.registry().to_string()))
        }
        Ok(_) | Err(_) => Ok(logins),
    }
}

/// Why a token has no login for one of its images.
pub(crate) async fn problem(ctx: &Context, token: &BootToken) -> Option<NoLogin> {
    if let Err(problem) = logins(ctx, token).await {
        return Some(problem);
    }
    for image in images(token, ctx.installer.as_ref()) {
        if let Err(problem) = logins_for(ctx, token, image).await {
            return Some(problem);
        }
    }
    None
}

/// Whether an image is the installer of tokens that name none, for which the server has a login of its own.
fn is_ours(ctx: &Context, image: &str) -> bool {
    let ours = ctx.installer.as_ref().and_then(|it| it.image.as_deref());
    ctx.installer_secret.is_some() && ours == Some(image)
}

/// The repository that a token installs from.
pub(crate) fn installed(token: &BootToken) -> Option<Name> {
    token.spec.image.parse::<Reference>().ok().map(|image| image.name)
}

fn is_of_use(ctx: &Context, token: &BootToken, logins: &Logins) -> Result<(), NoLogin> {
    let images = images(token, ctx.installer.as_ref());
    let names = images.iter().filter(|image| !is_ours(ctx, image));
    let names = names.filter_map(|image| image.parse::<Reference>().ok());
    let names: Vec<_> = names.map(|image| image.name).collect();
    if !names.is_empty() && !names.iter().any(|name| logins.has(name)) {
        let registries: BTreeSet<_> = names.iter().map(|it| it.registry().as_str()).collect();
        let registries = registries.into_iter().collect::<Vec<_>>().join(", ");
        return Err(NoLogin::Missing(FIELD, registries));
    }
    let is_given_out = !writes_disk_image(token, ctx.installer.as_ref());
    match installed(token).filter(|name| is_given_out && logins.has(name)) {
        Some(name) if !ctx.service_url.starts_with("https://") => {
            Err(NoLogin::PlainHttp(name.registry().to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads Secrets, one by one.
async fn read(ctx: &Context, secrets: &[PullSecret]) -> Found {
    let (mut all, mut left) = (vec![], LONGEST);
    for secret in secrets {
        secret.check_name()?;
        let api = Api::<Secret>::namespaced(ctx.client.clone(), &secret.namespace);
        let unread = |why: String| NoLogin::Unread(secret.clone(), why);
        let found = match timeout(PATIENCE, api.get_opt(&secret.name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(kube::Error::Api(answer))) if answer.code == 403 => {
                return Err(NoLogin::Forbidden(secret.clone()));
            }
            Ok(Err(error)) => return Err(unread(Chain(&error).to_string())),
            Err(_) => return Err(unread("it does not answer in time".to_owned())),
        };
        let malformed = |why: String| NoLogin::Malformed(secret.clone(), why);
        let content = secret.content(found.as_ref())?;
        left = left.checked_sub(content.len()).ok_or_else(|| {
            malformed(format!(
                "with those before it more than {LONGEST} bytes: name one for these images alone"
            ))
        })?;
        all.push(Logins::parse(content).map_err(|why| malformed(why.to_string()))?);
    }
    Ok(Logins::joined(all))
}

impl PullSecrets {
    /// What `read` finds, unless somebody has just looked.
    async fn look(
        &self,
        first: &PullSecret,
        secrets: &[PullSecret],
        read: impl Future<Output = Found>,
    ) -> Found {
        let names = secrets.iter().map(|secret| secret.name.clone()).collect();
        let (found, before) = self.begun((first.namespace.clone(), names));
        let look = async {
            let found = match timeout(PATIENCE, self.turns.take(&first.namespace)).await {
                Ok(_turn) => Box::pin(read).await,
                Err(_) => Err(NoLogin::Unread(first.clone(), "too many ask".to_owned())),
            };
            match (found, before) {
                (Err(NoLogin::Unread(..)), Some(before)) => Ok(before),
                (found, _) => found,
            }
        };
        found.get_or_init(|| look).await.clone()
    }

    /// A look, and what the one before has found.
    fn begun(&self, key: Key) -> (Arc<OnceCell<Found>>, Option<Logins>) {
        let mut all = self.looks.locked();
        all.retain(|_, look| look.begun.elapsed() < LONG);
        let known = all.get(&key);
        if let Some(look) = known.filter(|look| look.begun.elapsed() < FRESH) {
            return (Arc::clone(&look.found), look.before.clone());
        }
        let before = known.and_then(Look::logins);
        let found = Arc::<OnceCell<Found>>::default();
        let of_one = all.keys().filter(|(namespace, _)| *namespace == key.0).count();
        let is_known = all.contains_key(&key);
        // Of a crowd of one organization, each is read by itself.
        if is_known || of_one < OF_ONE {
            if !is_known && all.len() >= KEPT {
                make_room(&mut all);
            }
            let (begun, found, before) = (Instant::now(), Arc::clone(&found), before.clone());
            all.insert(key, Look { begun, found, before });
        }
        (found, before)
    }
}

/// Forgets the oldest look of the namespace that has the most.
fn make_room(looks: &mut HashMap<Key, Look>) {
    let mut counts = HashMap::<String, usize>::new();
    for (namespace, _) in looks.keys() {
        *counts.entry(namespace.clone()).or_default() += 1;
    }
    let oldest = looks
        .iter()
        .max_by_key(|((namespace, _), look)| (counts.get(namespace), look.begun.elapsed()));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        looks.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    fn secret(namespace: &str, name: &str) -> PullSecret {
        let [namespace, name] = [namespace, name].map(str::to_owned);
        PullSecret { namespace, name, field: "spec.imagePullSecrets" }
    }

    fn of(user: &str) -> Logins {
        let text = format!(r#"{{"auths":{{"ghcr.io":{{"username":"{user}","password":"x"}}}}}}"#);
        Logins::parse(text.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn what_was_read_counts_for_a_moment_and_longer_only_while_there_is_no_answer() {
        pause();
        let (secrets, one) = (PullSecrets::default(), [secret("org", "a")]);
        let look = async |found: Found| secrets.look(&one[0], &one, async { found }).await;
        let silence = || Err(NoLogin::Unread(one[0].clone(), String::new()));
        assert_eq!(look(silence()).await, silence(), "nothing is known yet");
        advance(FRESH).await;
        assert_eq!(look(Ok(of("first"))).await, Ok(of("first")));
        assert_eq!(look(Ok(of("second"))).await, Ok(of("first")), "they share one look");
        for _ in 0..3 {
            advance(FRESH).await;
            assert_eq!(look(silence()).await, Ok(of("first")));
        }
        // One that is gone counts no more, whatever comes then.
        let gone = || Err(NoLogin::Forbidden(one[0].clone()));
        advance(FRESH).await;
        assert_eq!(look(gone()).await, gone());
        advance(FRESH).await;
        assert_eq!(look(silence()).await, silence());
    }

    #[tokio::test]
    async fn secrets_of_one_organization_take_no_room_from_those_of_another() {
        pause();
        let secrets = PullSecrets::default();
        let look = async |namespace: &str, name: String| {
            let one = [secret(namespace, &name)];
            secrets.look(&one[0], &one, async { Ok(of("a")) }).await.unwrap();
        };
        for number in 0..2 * KEPT {
            look("org", number.to_string()).await;
        }
        assert_eq!(secrets.looks.locked().len(), OF_ONE);
        look("other", "a".to_owned()).await;
        assert_eq!(secrets.looks.locked().len(), OF_ONE + 1);
        advance(LONG).await;
        look("other", "a".to_owned()).await;
        assert_eq!(secrets.looks.locked().len(), 1, "nothing is kept for ever");
    }

    #[tokio::test]
    async fn however_many_organizations_there_are_each_has_room() {
        pause();
        let secrets = PullSecrets::default();
        let look = async |namespace: String, name: usize| {
            let one = [secret(&namespace, &name.to_string())];
            secrets.look(&one[0], &one, async { Ok(of("a")) }).await.unwrap();
        };
        for organization in 0..KEPT / OF_ONE {
            for name in 0..OF_ONE {
                look(format!("crowd-{organization}"), name).await;
            }
        }
        for organization in 0..2 * KEPT {
            advance(Duration::from_millis(1)).await;
            let key = (format!("org-{organization}"), vec!["0".to_owned()]);
            look(key.0.clone(), 0).await;
            assert!(secrets.looks.locked().contains_key(&key));
            assert_eq!(secrets.looks.locked().len(), KEPT);
        }
    }
}
