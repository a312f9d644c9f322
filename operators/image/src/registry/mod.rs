//! The pull half of the OCI distribution protocol 1.1: manifests and blobs, anonymously or with a login.
//!
//! Built on reqwest instead of on oci-client 0.18, which creates its own HTTP client: it accepts
//! neither an existing client, nor a redirect policy, nor a resolver, and reads manifests, tokens
//! and errors into memory whatever their size. A wrapper only sees the inputs and outputs, but
//! these rules are about what happens in between. A proxy would only see plain HTTP; for anything
//! else it would need its own certificate authority, and a listener that every process of this host
//! can use. Each rule has a test in `hack/oci-client` that runs both clients:
//!
//! | part | rule | oci-client |
//! |---|---|---|
//! | manifests, tokens | limited in size | read completely |
//! | redirects, realms, `urls` of layers | lead no nearer than the registry (`reach`) | followed anywhere |
//! | logins | for the host that they stand at (`prove`) | sent to any realm |
//! | realms | asked only if admitted, and by https | always asked |
//! | responses | say how long to leave the registry alone (`rest`) | headers are dropped |
//! | tokens | valid for as long as the service says | valid for a minute, or as a JWT says |
//! | indexes | an invalid entry is skipped | refused as a whole |
//! | references | normalized; errors say what is wrong | as written; a single error |
//!
//! Reusing its types for the rest would bring 24 crates for a few structs. The other half (push,
//! referrers) is not needed here.

mod access;
mod address_policy;
mod authentication;
mod body;
pub(crate) mod challenge;
mod error;
mod pace;
mod refusals;
mod request;
mod retry_after;
mod sizes;
mod tls;
pub(crate) mod token;

pub(crate) use access::Access;
pub use error::Error;
pub use pace::Pace;
pub use tls::TlsError;

use crate::{
    digest::{Algorithm, Digest, Hasher},
    reference::{Name, Registry, Version},
};
use address_policy::{AddressPolicy as _, Reach};
use authentication::Proof;
use body::{first_byte, incoming, read};
use bytes::Bytes;
use futures::{TryStreamExt, stream::BoxStream};
use metal_base::Locked;
use refusals::Refusals;
use request::Ask;
use reqwest::{Client, Method, Response, StatusCode, header::CONTENT_TYPE};
use retry_after::RetryAfter;
use sizes::Sizes;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// Accepted types of manifests, in order of preference.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// Largest manifest; what registries accept at most.
const MANIFEST_LIMIT: usize = 4 << 20;
/// How long the nearness of a registry is cached.
const REACH_LIFETIME: Duration = Duration::from_mins(1);
/// For how many registries it is cached.
const MAX_REGISTRIES: usize = 256;

/// How to reach registries.
#[derive(Clone, Debug)]
pub struct Config {
    /// Registries to be reached by plain HTTP; those on this host always are.
    pub insecure: BTreeSet<Registry>,
    /// Certificates of authorities to trust besides those of the system, in PEM.
    pub authorities: Vec<u8>,
    /// Time limit for a connection, and for a whole manifest or token.
    pub deadline: Duration,
    /// How long a registry may pause in the middle of a blob.
    pub silence: Duration,
    /// The minimum speed of a blob.
    pub pace: Pace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            insecure: BTreeSet::new(),
            authorities: vec![],
            deadline: Duration::from_secs(20),
            silence: Duration::from_secs(30),
            pace: Pace::default(),
        }
    }
}

/// All registries, with their connections, cached tokens, and the sizes given in manifests.
pub struct Registries {
    clients: Clients,
    insecure: BTreeSet<Registry>,
    deadline: Duration,
    pace: Pace,
    proofs: Mutex<HashMap<Access, Proof>>,
    reaches: Mutex<HashMap<Registry, (Reach, Instant)>>,
    sizes: Mutex<Sizes>,
    rests: Mutex<RetryAfter>,
    refusals: Mutex<Refusals>,
}

/// A client for each nearness: it connects only to addresses that such registries may send us to.
struct Clients {
    public: Client,
    private: Client,
    link: Client,
    host: Client,
}

/// A manifest as it was sent.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its digest, computed here.
    pub digest: Digest,
    /// `Content-Type` of the response.
    pub content_type: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

/// A blob in transit.
pub struct Incoming {
    /// Offset of its first byte, which is not after the one that was asked for; 0 if the registry does not
    /// support ranges.
    pub offset: u64,
    /// Number of bytes to come, if the registry gives it.
    pub length: Option<u64>,
    /// The bytes, which have not been verified.
    pub bytes: BoxStream<'static, Result<Bytes, Error>>,
}

impl Registries {
    /// A client for all registries. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If the certificates are unusable.
    pub fn new(config: &Config) -> Result<Self, TlsError> {
        let tls = tls::config(&config.authorities)?;
        let client = |reach: Reach| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("bloomery/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(config.deadline)
                .read_timeout(config.silence)
                // An address may carry a signature that stands for a login.
                .referer(false)
                .redirect(reach.redirects())
                .dns_resolver(reach.resolver())
                .build()
        };
        Ok(Self {
            clients: Clients {
                public: client(Reach::Public)?,
                private: client(Reach::Private)?,
                link: client(Reach::Link)?,
                host: client(Reach::Host)?,
            },
            insecure: config.insecure.clone(),
            deadline: config.deadline,
            pace: config.pace,
            proofs: Mutex::default(),
            reaches: Mutex::default(),
            sizes: Mutex::default(),
            rests: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    /// The manifest or index of one version of an image.
    ///
    /// # Errors
    ///
    /// If it does not exist, is too large, does not match its digest, or the registry does not
    /// answer.
    pub async fn manifest(&self, name: &Name, version: &Version) -> Result<Document, Error> {
        self.manifest_as(&Access::anonymous(name), version).await
    }

    pub(crate) async fn manifest_as(
        &self,
        access: &Access,
        version: &Version,
    ) -> Result<Document, Error> {
        let name = access.name();
        let registry = name.registry();
        let answer = async {
            let path = format!("manifests/{version}");
            let response = self.request(access, Ask::get(&path)).await?;
            let missing = || Error::NoImage { name: name.clone(), version: version.clone() };
            let response = self.checked(access, response, missing)?;
            let content_type = response.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|v| v.to_str().ok()).map(str::to_owned);
            let body = read(response, MANIFEST_LIMIT).await.map_err(|e| e.of(registry))?;
            let too_large = || Error::TooLarge { name: name.clone(), limit: MANIFEST_LIMIT };
            Ok((content_type, body.ok_or_else(too_large)?))
        };
        let late = |_| Error::Deadline { registry: registry.clone() };
        let (content_type, bytes) = timeout(self.deadline * 2, answer).await.map_err(late)??;
        let digest = verify(registry, version, &bytes)?;
        Ok(Document { digest, content_type, bytes })
    }

    /// A blob from `offset` on.
    ///
    /// # Errors
    ///
    /// If it does not exist, or the registry does not answer.
    pub async fn blob(&self, name: &Name, digest: &Digest, offset: u64) -> Result<Incoming, Error> {
        self.blob_as(&Access::anonymous(name), digest, offset).await
    }

    /// Whether the registry would send this blob, without having it sent. Some lead to a store that answers
    /// nothing but what was asked of it: then it is begun to be sent.
    ///
    /// # Errors
    ///
    /// It would not, or does not answer.
    pub(crate) async fn admits(&self, access: &Access, digest: &Digest) -> Result<(), Error> {
        let path = format!("blobs/{digest}");
        let ask = Ask { method: Method::HEAD, ..Ask::get(&path) };
        let response = self.request(access, ask).await?;
        if [StatusCode::FORBIDDEN, StatusCode::METHOD_NOT_ALLOWED].contains(&response.status()) {
            return self.blob_as(access, digest, 0).await.map(drop);
        }
        let missing = || Error::NoBlob { name: access.name().clone(), digest: digest.clone() };
        self.checked(access, response, missing).map(drop)
    }

    pub(crate) async fn blob_as(
        &self,
        access: &Access,
        digest: &Digest,
        offset: u64,
    ) -> Result<Incoming, Error> {
        let name = access.name();
        let path = format!("blobs/{digest}");
        let ask = Ask { from: (offset > 0).then_some(offset), ..Ask::get(&path) };
        let response = self.request(access, ask).await?;
        let missing = || Error::NoBlob { name: name.clone(), digest: digest.clone() };
        let response = self.checked(access, response, missing)?;
        let first = match response.status() {
            StatusCode::PARTIAL_CONTENT => first_byte(response.headers()).unwrap_or(offset),
            _ => 0,
        };
        if first > offset {
            return Err(Error::of_status(access, StatusCode::PARTIAL_CONTENT));
        }
        let length = response.content_length();
        let (registry, slow) = (name.registry().clone(), name.registry().clone());
        let pieces = incoming(response).map_err(move |e| e.of(&registry));
        let too_slow = move || Error::TooSlow { registry: slow.clone() };
        Ok(Incoming { offset: first, length, bytes: Box::pin(self.pace.watch(pieces, too_slow)) })
    }

    /// Caches a blob's size from a manifest.
    pub(crate) fn learn_size(&self, name: &Name, digest: &Digest, size: u64) {
        self.sizes.locked().learn(name, digest, size);
    }

    /// The size of a blob according to a manifest; `None` if it is not cached.
    pub fn size(&self, name: &Name, digest: &Digest) -> Option<u64> {
        self.sizes.locked().get(name, digest)
    }

    fn client(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Public | Reach::Nowhere => &self.clients.public,
            Reach::Private => &self.clients.private,
            Reach::Link => &self.clients.link,
            Reach::Host => &self.clients.host,
        }
    }

    /// The nearness of `registry`.
    async fn reach(&self, registry: &Registry) -> Reach {
        let reaches = || self.reaches.locked();
        if let Some((reach, since)) = reaches().get(registry)
            && since.elapsed() < REACH_LIFETIME
        {
            return *reach;
        }
        let found = address_policy::of_registry(registry, self.insecure.contains(registry));
        let reach = timeout(self.deadline, found).await.unwrap_or(Reach::Public);
        let mut reaches = reaches();
        if reaches.len() >= MAX_REGISTRIES {
            reaches.clear();
        }
        reaches.insert(registry.clone(), (reach, Instant::now()));
        reach
    }

    /// Whether `registry` is reached by plain HTTP.
    fn is_insecure(&self, registry: &Registry) -> bool {
        registry.is_local() || self.insecure.contains(registry)
    }

    /// How much longer a registry is not asked like this, at its own request.
    pub(crate) fn rest(&self, access: &Access) -> Option<Duration> {
        self.rests().of(access).map(|(left, _)| left)
    }

    fn rests(&self) -> MutexGuard<'_, RetryAfter> {
        self.rests.locked()
    }

    /// A response of a registry or of its token service, unless it is an error.
    fn checked(
        &self,
        access: &Access,
        response: Response,
        missing: impl FnOnce() -> Error,
    ) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        self.rests().note(access, status, response.headers());
        match status {
            StatusCode::NOT_FOUND => Err(missing()),
            status => Err(Error::of_status(access, status)),
        }
    }
}

/// The digest of a manifest, which must match the requested one, if any.
fn verify(registry: &Registry, version: &Version, bytes: &[u8]) -> Result<Digest, Error> {
    let Version::Digest(expected) = version else { return Ok(Digest::of(bytes)) };
    let mut hasher = Hasher::new(expected.algorithm());
    hasher.update(bytes);
    if hasher.finish() != *expected {
        let (registry, expected) = (registry.clone(), expected.clone());
        return Err(Error::DigestMismatch { registry, expected });
    }
    Ok(match expected.algorithm() {
        Algorithm::Sha256 => expected.clone(),
        Algorithm::Sha512 => Digest::of(bytes),
    })
}
