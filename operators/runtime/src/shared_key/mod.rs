//! A key that all replicas share and that survives restarts: in a Secret, which is created once.
//!
//! The API server is authoritative. While it does not answer, the same Secret is read from a file,
//! which the kubelet has mounted and keeps, so that a restarted container needs nothing else.

use crate::{Deferred, OkIf, jittered, report::Chain};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error as StdError,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::PathBuf,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    time::{sleep, timeout},
};

/// The only key in the Secret's data.
const ENTRY: &str = "key";
/// Size of a new key in bytes.
const BYTES: usize = 32;
/// Largest file that is a key.
const LARGEST: u64 = 64 << 10;
/// How long to wait for the API server before the file is used.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the API server is asked after that.
const PERIOD: Duration = Duration::from_secs(5);
/// How often to look whether the Secret is another one by now.
const CHECK: Duration = Duration::from_secs(10);

/// The location of a key.
#[derive(Clone)]
pub struct SharedKey {
    /// The API server.
    pub client: Client,
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub name: &'static str,
    /// The field manager that creates it.
    pub manager: &'static str,
    /// The same Secret as a file, with the flag that names it.
    pub file: Option<(&'static str, PathBuf)>,
}

/// Where a key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// At the API server.
    ApiServer(Version),
    /// In the file, because the API server did not answer.
    File,
}

/// Which key a Secret has, without telling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version(u64);

impl Version {
    fn of(secret: &Secret) -> Self {
        let mut hasher = DefaultHasher::new();
        secret.data.as_ref().and_then(|data| data.get(ENTRY)).map(|key| &key.0).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server does not answer, or reports that it cannot.
    #[error("Secret {secret}: the API server is unreachable")]
    Silent {
        /// Namespace and name.
        secret: String,
        /// The reason, if there was one.
        source: Option<Box<kube::Error>>,
    },
    /// The API server refuses.
    #[error("Secret {secret}: could not be read or created")]
    Refused {
        /// Namespace and name.
        secret: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// It repeatedly appears and disappears.
    #[error("Secret {secret}: it is repeatedly deleted by another client")]
    Unstable {
        /// Namespace and name.
        secret: String,
    },
    /// There is none any longer.
    #[error("Secret {secret}: it is gone; the next start creates another one")]
    Gone {
        /// Namespace and name.
        secret: String,
    },
    /// The entry is missing.
    #[error(
        "Secret {secret}: entry {ENTRY} is missing; delete the Secret to have a new one created"
    )]
    NoEntry {
        /// Namespace and name.
        secret: String,
    },
    /// The entry is not a valid key.
    #[error("Secret {secret}: entry {ENTRY}")]
    Unusable {
        /// Namespace and name.
        secret: String,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// This machine has no source of randomness.
    #[error("no random numbers available for a key")]
    NoRandomness(#[source] getrandom::Error),
}

impl SharedKey {
    /// Sets `key` as soon as the key is known, from either source, and again whenever the Secret was
    /// replaced, forever. Calls `on_silence` if the API server does not answer at first.
    ///
    /// # Errors
    ///
    /// If the API server answers, but there is no key.
    pub async fn provide<K: Clone, E>(
        &self,
        parse: fn(&[u8]) -> Result<K, E>,
        key: &Deferred<K>,
        on_silence: impl FnOnce(),
    ) -> Result<Infallible, Error>
    where
        E: StdError + Send + Sync + 'static,
    {
        let version = match self.load(parse).await? {
            Some((found, Origin::ApiServer(version))) => {
                key.set(found);
                version
            }
            found => {
                if let Some((found, _)) = found {
                    key.set(found);
                }
                on_silence();
                self.follow(parse, key).await
            }
        };
        match self.keep_up(parse, key, version).await {}
    }

    /// Reads the key, or creates it. `None` if the API server does not answer and there is no file:
    /// then [`Self::follow`] will obtain it.
    ///
    /// # Errors
    ///
    /// If the API server answers, but there is no key.
    async fn load<K, E>(
        &self,
        parse: fn(&[u8]) -> Result<K, E>,
    ) -> Result<Option<(K, Origin)>, Error>
    where
        E: StdError + Send + Sync + 'static,
    {
        let error = match self.in_time(parse).await {
            Ok((key, version)) => return Ok(Some((key, Origin::ApiServer(version)))),
            Err(error) => error,
        };
        let file = self.read(parse).await;
        let is_silent = matches!(error, Error::Silent { .. });
        if file.is_none() && !is_silent {
            return Err(error);
        }
        let has_file = file.is_some();
        tracing::warn!(
            error = %Chain(&error),
            has_file,
            "could not read the key from the API server",
        );
        Ok(file.map(|key| (key, Origin::File)))
    }

    /// Asks the API server until it has returned the key, whatever is in use until then.
    async fn follow<K: Clone, E>(
        &self,
        parse: fn(&[u8]) -> Result<K, E>,
        key: &Deferred<K>,
    ) -> Version
    where
        E: StdError + Send + Sync + 'static,
    {
        let mut told = String::new();
        loop {
            sleep(jittered(PERIOD)).await;
            match self.in_time(parse).await {
                Ok((read, version)) => {
                    tracing::info!(secret = self.secret(), "key read from the API server");
                    key.set(read);
                    return version;
                }
                Err(error) => tell(&mut told, &error),
            }
        }
    }

    /// Takes over the key of a Secret that was made again or changed, because that is the key of
    /// whoever starts later. While there is no Secret, the known key counts: nobody makes another
    /// one before the next start.
    async fn keep_up<K: Clone, E>(
        &self,
        parse: fn(&[u8]) -> Result<K, E>,
        key: &Deferred<K>,
        mut version: Version,
    ) -> Infallible
    where
        E: StdError + Send + Sync + 'static,
    {
        let mut told = String::new();
        loop {
            sleep(jittered(CHECK)).await;
            let found = match self.look().await {
                Ok(found) => found,
                Err(error) => {
                    tell(&mut told, &error);
                    continue;
                }
            };
            told.clear();
            let current = Version::of(&found);
            if current == version {
                continue;
            }
            version = current;
            match self.parsed(&found, parse) {
                Ok(read) => {
                    tracing::info!(
                        secret = self.secret(),
                        "the Secret has another key, which is used now"
                    );
                    key.set(read);
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the key before this one still counts");
                }
            }
        }
    }

    /// The Secret as it is now.
    async fn look(&self) -> Result<Secret, Error> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let late = |_| Error::Silent { secret: self.secret(), source: None };
        let found = timeout(PATIENCE, secrets.get_opt(self.name)).await.map_err(late)?;
        let found = found.map_err(|error| self.unread(error))?;
        found.ok_or_else(|| Error::Gone { secret: self.secret() })
    }

    fn secret(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    async fn in_time<K, E>(&self, parse: fn(&[u8]) -> Result<K, E>) -> Result<(K, Version), Error>
    where
        E: StdError + Send + Sync + 'static,
    {
        let late = |_| Err(Error::Silent { secret: self.secret(), source: None });
        timeout(PATIENCE, self.ask(parse)).await.unwrap_or_else(late)
    }

    async fn ask<K, E>(&self, parse: fn(&[u8]) -> Result<K, E>) -> Result<(K, Version), Error>
    where
        E: StdError + Send + Sync + 'static,
    {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        for _ in 0..3 {
            let found = secrets.get_opt(self.name).await.map_err(|error| self.unread(error))?;
            if let Some(found) = found {
                return Ok((self.parsed(&found, parse)?, Version::of(&found)));
            }
            let mut bytes = [0; BYTES];
            getrandom::fill(&mut bytes).map_err(Error::NoRandomness)?;
            let mut secret = Secret {
                data: Some(BTreeMap::from([(ENTRY.to_owned(), ByteString(bytes.to_vec()))])),
                ..Secret::default()
            };
            secret.metadata.name = Some(self.name.to_owned());
            let manager = Some(self.manager.to_owned());
            let params = PostParams { field_manager: manager, ..PostParams::default() };
            // If another replica was faster, its key is used.
            let made = secrets.create(&params, &secret).await.ok_if_already_exists();
            made.map_err(|error| self.unread(error))?;
        }
        Err(Error::Unstable { secret: self.secret() })
    }

    fn parsed<K, E>(&self, found: &Secret, parse: fn(&[u8]) -> Result<K, E>) -> Result<K, Error>
    where
        E: StdError + Send + Sync + 'static,
    {
        let bytes = found.data.as_ref().and_then(|data| data.get(ENTRY));
        let bytes = bytes.ok_or_else(|| Error::NoEntry { secret: self.secret() })?;
        parse(&bytes.0)
            .map_err(|error| Error::Unusable { secret: self.secret(), source: Box::new(error) })
    }

    fn unread(&self, error: kube::Error) -> Error {
        let (secret, source) = (self.secret(), Box::new(error));
        match &*source {
            kube::Error::Api(status) if status.code < 500 && status.code != 429 => {
                Error::Refused { secret, source }
            }
            _ => Error::Silent { secret, source: Some(source) },
        }
    }

    /// The key in the file. A file that cannot be used is ignored.
    async fn read<K, E>(&self, parse: fn(&[u8]) -> Result<K, E>) -> Option<K>
    where
        E: StdError + Send + Sync + 'static,
    {
        let (flag, path) = self.file.as_ref()?;
        let mut bytes = Vec::new();
        let read = async {
            let file = tokio::fs::File::open(path).await?;
            file.take(LARGEST).read_to_end(&mut bytes).await
        };
        match read.await {
            Ok(_) => {}
            // Before the first start there is no Secret to mount.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(flag, path = %path.display(), %error, "could not read the key file");
                return None;
            }
        }
        let unusable = |error: &E| {
            tracing::warn!(flag, path = %path.display(), error = %Chain(error), "invalid key file");
        };
        parse(&bytes).inspect_err(unusable).ok()
    }
}

/// Warns of an error, once as long as the cause is the same.
fn tell(told: &mut String, error: &Error) {
    let error = Chain(error).to_string();
    if error != *told {
        tracing::warn!(error, "could not read the key from the API server");
        *told = error;
    }
}

#[cfg(test)]
mod tests;
