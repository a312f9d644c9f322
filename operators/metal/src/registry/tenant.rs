//! Tenants' hosts that report that they are up. They have no token for the registry, but the token
//! of their boot, which is in the URL of their ignition or UKI.

use super::{Denied, Registry, Reporter};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use metal_api::Server;
use metal_base::Locked;
use metal_core::capability::{BOOT_KEY_SECRET, Claims, Key, Purpose, verify, verify_short};
use metal_runtime::{OkIf, report::Chain};
use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The only key in its data.
const ENTRY: &str = "key";
/// How often the key is looked for: requests with invalid tokens must not cause a read each.
const PAUSE: Duration = Duration::from_secs(10);

/// The key of the boot-operator's tokens, read when the first such token arrives.
#[derive(Debug)]
pub(crate) struct BootKey {
    namespace: String,
    kept: Mutex<CachedKey>,
}

#[derive(Debug, Default)]
struct CachedKey {
    key: Option<Key>,
    asked: Option<Instant>,
}

impl BootKey {
    /// That of the boot-operator in this namespace, which is ours.
    pub(crate) fn new(namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, CachedKey> {
        self.kept.locked()
    }

    fn is_due(&self) -> bool {
        let mut kept = self.kept();
        let due = kept.asked.is_none_or(|asked| asked.elapsed() >= PAUSE);
        if due {
            kept.asked = Some(Instant::now());
        }
        due
    }
}

impl Registry {
    /// The reporter with this token, if it is the token of a boot.
    ///
    /// # Errors
    ///
    /// If no servers are known yet.
    pub(super) async fn tenant(&self, token: &str) -> Result<Option<Reporter>, Denied> {
        let known = self.boot_key.kept().key.clone();
        let mut claims = known.and_then(|key| self.claims_of(&key, token));
        if claims.is_none() && self.boot_key.is_due() {
            claims = self.read_key().await.and_then(|key| self.claims_of(&key, token));
        }
        let Some(claims) = claims else { return Ok(None) };
        if !self.view.servers.is_ready() || !self.view.configurations.is_ready() {
            return Err(Denied::NotReady);
        }
        let server = self.view.servers.named(None, &claims.server);
        Ok(server.map(|server| Reporter::Known(server, claims)))
    }

    fn claims_of(&self, key: &Key, token: &str) -> Option<Claims> {
        let (keys, now) = (std::slice::from_ref(key), Timestamp::now());
        let server_of = |boot: &str| {
            let found = self.view.configurations.get(&boot.to_owned());
            found.first().map(|it| it.spec.server_ref.name.clone())
        };
        verify(keys, token, Purpose::Ignition, now)
            .or_else(|_| verify_short(keys, token, Purpose::Uki, now, server_of))
            .ok()
    }

    async fn read_key(&self) -> Option<Key> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.boot_key.namespace);
        let secret = match secrets.get(BOOT_KEY_SECRET).await.ok_if_not_found() {
            Ok(secret) => secret?,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not read the key of boot-operator");
                return None;
            }
        };
        let key = Key::new(&secret.data?.get(ENTRY)?.0).ok()?;
        self.boot_key.kept().key = Some(key.clone());
        Some(key)
    }

    /// Checks that the boot of a tenant's token is the current one of its server.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub(super) fn is_at(&self, server: &Server, claims: &Claims) -> Result<(), Denied> {
        let boots = server.spec.boot_configuration_ref.as_ref();
        let boots = boots.and_then(|it| {
            self.view.configurations.named(Some(&it.namespace), &it.name)?.metadata.uid.clone()
        });
        if boots.is_some_and(|uid| uid == claims.boot) {
            return Ok(());
        }
        let state = server.status.as_ref().and_then(|status| status.state.as_ref());
        Err(Denied::Over {
            server: server.name_any(),
            state: state.map_or_else(|| "not discovered".to_owned(), ToString::to_string),
        })
    }
}
