mod boots;
mod crash;
mod created;
mod disk_image;
mod install;
mod proof;
mod pull_secrets;
mod release;
mod tpm;
mod unreadable;

use super::router;
use crate::{
    args::{ACCEPTED, Args},
    context::Context,
    run::context,
};
use axum::{
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Resource, ResourceExt,
    runtime::events::{Recorder, Reporter},
};
use metal_api::{
    BootBinding, BootToken, BootTokenPhase, BootTokenSpec, BootTokenStatus, Host, HostRelease,
    HostSpec,
};
use metal_base::hex;
use metal_core::{
    boot_token::secret,
    capability::{Claims, Key, Purpose, issue},
    rented_host::PublicKey,
};
use metal_rented::signed::Signed;
use metal_runtime::{
    args::try_parse,
    index::Index,
    listener::Peer,
    testing::{ApiServer, list},
};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::Value;
use std::{hash::Hash, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{task::yield_now, time::sleep};
use tower::ServiceExt;

/// What a refused machine is told.
const REFUSED: (StatusCode, &str) = (StatusCode::FORBIDDEN, "refused\n");

/// A server that has listed everything, and its API server.
struct Site {
    ctx: Arc<Context>,
    api: ApiServer,
}

impl Site {
    async fn new(tokens: Vec<BootToken>, hosts: Vec<Host>, releases: Vec<HostRelease>) -> Self {
        let site = Self::at(ApiServer::default());
        site.list(&site.ctx.view.tokens, tokens).await;
        site.list(&site.ctx.view.hosts, hosts).await;
        site.list(&site.ctx.view.releases, releases).await;
        site
    }

    /// A server that has started, and listed nothing.
    fn at(api: ApiServer) -> Self {
        let line = [
            "hosts",
            "--service-url=https://hosts.example.org",
            "--installer-kernel-url=http://mirror/vmlinuz",
            "--installer-initrd-url=http://mirror/initrd",
        ];
        let args = try_parse::<Args>(ACCEPTED, line.iter().map(Into::into), |_| false);
        let ctx = context(&args.unwrap().args, api.client("org"), None);
        ctx.key.set(key());
        Self { ctx, api }
    }

    /// Both the API server and its watch have these.
    async fn list<K, Key>(&self, index: &Index<K, Key>, objects: Vec<K>)
    where
        K: Resource<DynamicType = ()> + serde::Serialize + serde::de::DeserializeOwned,
        Key: Eq + Hash,
    {
        let stored = objects.iter().map(|object| {
            self.api.put(object);
            let name = object.name_any();
            self.api.object(object.namespace().as_deref(), &name).unwrap()
        });
        list(index, stored.collect::<Vec<_>>()).await;
    }

    /// Asks from this address.
    async fn ask(&self, request: Request<Body>, from: &str) -> (StatusCode, String) {
        let mut request = request;
        let peer = SocketAddr::new(from.parse().unwrap(), 1024);
        request.extensions_mut().insert(Peer(peer));
        let answer = router(Arc::clone(&self.ctx)).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.ask(request(Method::GET, path, ""), "192.0.2.1").await
    }

    async fn post(&self, path: &str, body: &str) -> StatusCode {
        self.ask(request(Method::POST, path, body), "192.0.2.1").await.0
    }

    /// How often an event with this reason was published.
    async fn told(&self, reason: &str) -> usize {
        let recorder = Recorder::new(self.api.client("org"), Reporter::from("hosts"));
        let turns = async {
            sleep(Duration::from_secs(1)).await;
            // This one's turn may come late; then so many are enough to publish all that is queued.
            for _ in 0..10_000 {
                yield_now().await;
            }
        };
        tokio::select! {
            () = self.ctx.notices.publish(&recorder) => {}
            () = turns => {}
        }
        let sent = self.api.sent();
        sent.iter().filter(|it| it.is_event() && it.body["reason"] == reason).count()
    }

    /// A number to sign.
    async fn nonce(&self) -> String {
        let (_, text) = self.get("/api/hosts/nonce").await;
        let nonce: Value = serde_json::from_str(&text).unwrap();
        nonce["nonce"].as_str().unwrap().to_owned()
    }

    /// Asks with a signature.
    async fn signed(
        &self,
        machine: &Machine,
        asked: (Method, &str, &str),
        host: &str,
    ) -> (StatusCode, String) {
        self.ask(self.sign(machine, asked, host).await, "192.0.2.1").await
    }

    /// A request with a signature.
    async fn sign(
        &self,
        machine: &Machine,
        (method, path, body): (Method, &str, &str),
        host: &str,
    ) -> Request<Body> {
        let nonce = self.nonce().await;
        let signature = machine.sign((&method, path, body), &nonce, host);
        let mut request = request(method, path, body);
        for (name, value) in [("nonce", &*nonce), ("signature", &*signature), ("host", host)] {
            let name: axum::http::HeaderName = format!("bloomery-{name}").parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    }
}

/// A machine with its key.
struct Machine(EcdsaKeyPair);

impl Machine {
    fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap())
    }

    fn pem(&self) -> String {
        PublicKey::of_point(self.0.public_key().as_ref()).unwrap().pem()
    }

    /// The same as the cluster has it.
    fn pem_as_kept(&self) -> String {
        PublicKey::parse(&self.pem()).unwrap().pem()
    }

    fn sign(
        &self,
        (method, target, body): (&Method, &str, &str),
        nonce: &str,
        host: &str,
    ) -> String {
        let (method, body) = (method.as_str(), body.as_bytes());
        let message = Signed { method, target, nonce, host, body }.message();
        STANDARD.encode(self.0.sign(&SystemRandom::new(), &message).unwrap())
    }

    /// The Host that it is.
    fn host(&self) -> Host {
        let spec = HostSpec { public_key: self.pem(), active_release: None };
        let mut host = Host::new("web-1", spec);
        host.metadata.namespace = Some("org".to_owned());
        host.metadata.uid = Some("uid-of-host".to_owned());
        host
    }
}

fn request(method: Method, path: &str, body: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap()
}

fn key() -> Key {
    Key::new(&[7; 32]).unwrap()
}

/// The secret of the token.
fn text() -> String {
    secret::text("org", &[1; secret::BYTES])
}

/// A token that is good for an hour, with which this many machines have booted, long ago.
fn token(attempts: i64) -> BootToken {
    let spec = BootTokenSpec {
        token_sha256: secret::place(&text()).unwrap().hash,
        host_name: "web-1".to_owned(),
        ttl: "1h".to_owned(),
        image: format!("quay.io/example/base@sha256:{}", hex(&[0xaa; 32])),
        ..BootTokenSpec::default()
    };
    let mut token = BootToken::new("web-1", spec);
    token.metadata.namespace = Some("org".to_owned());
    token.metadata.uid = Some("uid-of-token".to_owned());
    token.metadata.creation_timestamp = Some(Time(ago(1)));
    token.status = Some(BootTokenStatus {
        phase: Some(BootTokenPhase::Fetched),
        attempts: Some(attempts),
        ..BootTokenStatus::default()
    });
    token
}

/// The path of a boot.
fn boot(attempt: i64) -> String {
    format!("/c/{}", capability(Purpose::Install, attempt))
}

/// The path with which a boot begins.
fn first(proposal: i64) -> String {
    format!("/c/{}", capability(Purpose::Boot, proposal))
}

fn capability(purpose: Purpose, attempt: i64) -> String {
    let claims = Claims {
        purpose,
        server: "uid-of-token".to_owned(),
        boot: attempt.to_string(),
        expires: Timestamp::now() + SignedDuration::from_hours(1),
    };
    issue(&key(), &claims).unwrap().as_str().to_owned()
}

fn ago(minutes: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(minutes)
}
