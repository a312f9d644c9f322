//! Requests to the server. Each is signed together with a number that the server has just given out, so that the
//! clock of this machine may be wrong.

use crate::{config::Config, decrypt::Sealed, hardware, key::Key};
use anyhow::{Context, Result, bail, ensure};
use metal_base::{
    authorities::{self, OnUnusable},
    jittered,
};
use metal_rented::signed::{HOST, NONCE, SIGNATURE, Signed, path};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring as provider,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long the server may wait for another release before it answers, in seconds.
const WAIT: u64 = 50;
/// An answer without news that arrives sooner than this was not waited for.
const SOON: Duration = Duration::from_secs(5);
/// Pause after such an answer, and after none.
pub(crate) const LATER: Duration = Duration::from_secs(30);
/// Time limit for a request.
const DEADLINE: Duration = Duration::from_secs(90);
/// The longest name that is accepted, in bytes.
const NAME: usize = 253;
/// The longest response that is read, in bytes.
const LONGEST: usize = 1 << 20;

/// The release that this host is to run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
    pub(crate) image: String,
    #[serde(default)]
    pub(crate) configuration: Option<Sealed>,
}

impl Wanted {
    /// Name and UID, which identify a release.
    fn named(&self) -> (&str, &str) {
        (&self.name, &self.uid)
    }
}

/// The last answer: the release that this host is to run, or that there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(pub(crate) Option<Wanted>);

impl Known {
    fn is(&self, wanted: Option<&Wanted>) -> bool {
        self.0.as_ref().map(Wanted::named) == wanted.map(Wanted::named)
    }
}

/// The answer to the question for the release.
#[derive(Debug)]
pub(crate) enum Answer {
    /// There is no news.
    Same,
    /// It is this release, or none.
    Release(Option<Wanted>),
}

#[derive(Deserialize)]
struct ReleaseAnswer {
    release: Option<Wanted>,
}

/// A request, with the name of the host that makes it; empty before the machine is registered.
struct HostRequest<'a> {
    method: Method,
    target: &'a str,
    host: &'a str,
    body: String,
}

impl<'a> HostRequest<'a> {
    fn get(target: &'a str, host: &'a str) -> Self {
        Self { method: Method::GET, target, host, body: String::new() }
    }

    fn post(target: &'a str, host: &'a str, body: String) -> Self {
        Self { method: Method::POST, target, host, body }
    }
}

/// The server, from the point of view of this host.
#[derive(Debug)]
pub(crate) struct Server {
    http: Client,
    url: String,
    host: String,
}

impl Server {
    pub(crate) fn new(config: &Config, ca: Option<&Path>) -> Result<Self> {
        let http = Client::builder()
            .tls_backend_preconfigured(tls(ca)?)
            .redirect(redirect::Policy::none())
            .timeout(DEADLINE)
            .build()?;
        let url = config.server.trim_end_matches('/').to_owned();
        Ok(Self { http, url, host: config.host() })
    }

    /// Asks for a proof that only this TPM can decrypt. `keys` is the body of an attestation.
    pub(crate) async fn attest(
        &self,
        key: &Key,
        credential: &str,
        mut keys: Value,
    ) -> Result<metal_attest::Response> {
        keys["credential"] = json!(credential);
        keys["publicKey"] = json!(key.public()?.pem());
        let answer =
            self.signed(key, HostRequest::post(path::ATTEST, "", keys.to_string())).await?;
        serde_json::from_slice(&answer).context("the answer is no attestation")
    }

    /// Registers the key, with the proof of the TPM if the token asks for one.
    pub(crate) async fn register(
        &self,
        key: &Key,
        credential: &str,
        proof: Option<&str>,
    ) -> Result<()> {
        let mut body = json!({
            "credential": credential,
            "publicKey": key.public()?.pem(),
            "hardware": hardware::told(Path::new("/")),
        });
        if let Some(proof) = proof {
            body["proof"] = json!(proof);
        }
        let request = HostRequest::post(path::REGISTER, "", body.to_string());
        self.signed(key, request).await.map(drop)
    }

    /// Waits for another release than the one that is `known`, and records which one that is. Without an answer
    /// `known` stays as it is: when a server restarts, not all of its hosts should read their configurations at
    /// once.
    pub(crate) async fn await_release(
        &self,
        key: &Key,
        known: &mut Option<Known>,
    ) -> Result<Option<Wanted>> {
        let begin = Instant::now();
        let wanted = match self.release(key, known.as_ref()).await? {
            Answer::Same => known.clone().unwrap_or_default().0,
            Answer::Release(wanted) => wanted,
        };
        let is_same = known.as_ref().is_some_and(|known| known.is(wanted.as_ref()));
        if is_same && begin.elapsed() < SOON {
            // So many hosts wait at the server that this one cannot.
            sleep(jittered(LATER)).await;
        }
        *known = Some(Known(wanted.clone()));
        Ok(wanted)
    }

    /// Waits for another release than the known one; does not wait if none is known.
    pub(crate) async fn release(&self, key: &Key, known: Option<&Known>) -> Result<Answer> {
        // Names and UIDs of Kubernetes need no encoding in a query.
        let target = match known {
            Some(Known(known)) => {
                let (name, uid) = known.as_ref().map(Wanted::named).unwrap_or_default();
                format!("{}?release={name}&uid={uid}&wait={WAIT}&brief=true", path::RELEASE)
            }
            None => path::RELEASE.to_owned(),
        };
        let body = self.signed(key, HostRequest::get(&target, &self.host)).await?;
        if known.is_some() && body.is_empty() {
            return Ok(Answer::Same);
        }
        let answer: ReleaseAnswer =
            serde_json::from_slice(&body).context("the answer is no release")?;
        let is_word = |word: &str| {
            word.len() <= NAME
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        let is_named = |it: &Wanted| !it.name.is_empty() && is_word(&it.name) && is_word(&it.uid);
        ensure!(answer.release.as_ref().is_none_or(is_named), "its name is none");
        Ok(Answer::Release(answer.release))
    }

    /// Waits for any answer of the server: even one that says it is busy proves that it can be reached.
    pub(crate) async fn answers(&self) -> Result<()> {
        Ok(self.http.get(format!("{}{}", self.url, path::NONCE)).send().await.map(drop)?)
    }

    /// Reports the state of this host.
    pub(crate) async fn report(&self, key: &Key, report: &Value) -> Result<()> {
        let request = HostRequest::post(path::STATUS, &self.host, report.to_string());
        self.signed(key, request).await.map(drop)
    }

    async fn signed(&self, key: &Key, request: HostRequest<'_>) -> Result<Vec<u8>> {
        let HostRequest { method, target, host, body } = request;
        let answer = self.http.get(format!("{}{}", self.url, path::NONCE)).send().await?;
        let answer: Value = serde_json::from_slice(&read(answer).await?)?;
        let nonce = answer["nonce"].as_str().context("the server gave no number")?;
        let (verb, content) = (method.as_str(), body.as_bytes());
        let signed = Signed { method: verb, target, nonce, host, body: content };
        let signature = key.sign(&signed.message()).await?;
        let request = self.http.request(method, format!("{}{target}", self.url));
        let request = request.header(NONCE, nonce).header(HOST, host);
        read(request.header(SIGNATURE, signature).body(body).send().await?).await
    }
}

/// The body of a successful response.
async fn read(mut answer: Response) -> Result<Vec<u8>> {
    let status = answer.status();
    let mut body = vec![];
    while let Some(chunk) = answer.chunk().await? {
        ensure!(body.len() + chunk.len() <= LONGEST, "the answer is too long");
        body.extend_from_slice(&chunk);
    }
    match status {
        status if status.is_success() => Ok(body),
        StatusCode::FORBIDDEN => bail!(
            "refused: the token is consumed, expired or bound to another machine, or the Host is deleted \
             or has another key"
        ),
        status => bail!("the server answered {status}"),
    }
}

fn tls(ca: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs().certs;
    authorities::add(&mut roots, system.into_iter().map(Ok), OnUnusable::Skip)?;
    if let Some(path) = ca {
        let name = || path.display().to_string();
        let pem = crate::files::read(path)?.with_context(name)?;
        let certificates = CertificateDer::pem_slice_iter(&pem);
        let count = authorities::add(&mut roots, certificates, OnUnusable::Refuse);
        ensure!(count.with_context(name)? > 0, "{}: there is no certificate", name());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
