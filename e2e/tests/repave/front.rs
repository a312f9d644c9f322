//! What stands before an API server and a BMC, and counts what is written there: after the n-th write it
//! kills whoever has written, who then does not learn what came of it.

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use http_body_util::BodyExt;
use kube::{Client, config::Kubeconfig};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// Bytes of a body at most.
const LIMIT: usize = 4 << 20;

/// Kills a process after its n-th write.
#[derive(Debug, Default)]
pub(crate) struct Killer {
    /// Pid of the process; 0 for none.
    victim: AtomicU32,
    /// Writes that are left; what comes after the last one does not count.
    left: AtomicU32,
    /// Tells that it was killed.
    pub(crate) killed: Notify,
}

impl Killer {
    /// Counts from now on.
    pub(crate) fn arm(&self, victim: u32, after: u32) {
        self.victim.store(victim, Ordering::SeqCst);
        self.left.store(after, Ordering::SeqCst);
    }

    /// Whether the last write has not come yet.
    pub(crate) fn is_armed(&self) -> bool {
        self.left.load(Ordering::SeqCst) > 0
    }

    /// Something was written. Whether that was the last thing that its writer did.
    fn written(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        let before = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if before != Ok(1) {
            return false;
        }
        let victim = self.victim.load(Ordering::SeqCst).to_string();
        // At once: nothing else of it is to be answered before.
        let killed = Command::new("kill").args(["-9", &victim]).status();
        assert!(killed.unwrap().success(), "there is no process {victim}");
        self.killed.notify_one();
        true
    }
}

/// Something that stands before a server.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    /// Before the API server, with the rights of a client.
    pub(crate) async fn of_api(client: Client, killer: Arc<Killer>) -> Result<Self> {
        let router = Router::new().fallback(api).with_state((client, killer));
        Self::serve(router).await
    }

    /// Before BMCs, by plain HTTP. The system 2 of it is the system 1 of the second one, if there is one.
    pub(crate) async fn of_bmcs(bmcs: Vec<SocketAddr>, killer: Arc<Killer>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let router = Router::new().fallback(bmc).with_state((http, bmcs, killer));
        Self::serve(router).await
    }

    async fn serve(router: Router) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Ok(Self { address, serving })
    }

    /// A kubeconfig with which a process asks it. The authorities stay: machines are told of them.
    pub(crate) fn kubeconfig(&self, of: &Path, file: PathBuf) -> Result<PathBuf> {
        let mut config = Kubeconfig::read_from(of)?;
        let cluster = config.clusters.first_mut().context("a kubeconfig has a cluster")?;
        let cluster = cluster.cluster.get_or_insert_default();
        cluster.server = Some(format!("http://{}", self.address));
        let user = config.auth_infos.first_mut().context("a kubeconfig has a user")?;
        user.auth_info = Some(kube::config::AuthInfo {
            token: Some("that of the front counts".to_owned().into()),
            ..kube::config::AuthInfo::default()
        });
        std::fs::write(&file, serde_saphyr::to_string(&config)?)?;
        Ok(file)
    }
}

/// Whether a request changes what counts: events tell of it, and leases are about who may.
fn is_write(request: &Request) -> bool {
    let path = request.uri().path();
    let is_aside = path.contains("/events") || path.contains("/leases");
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    !reads && !is_aside && !path.contains("/serviceaccounts")
}

async fn api(
    State((client, killer)): State<(Client, Arc<Killer>)>,
    mut request: Request,
) -> Response<Body> {
    let is_write = is_write(&request);
    for name in [header::AUTHORIZATION, header::HOST] {
        request.headers_mut().remove(name);
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap();
    let request = Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let Ok(response) = client.send(request).await else { return unavailable() };
    if is_write && killer.written() {
        return unavailable();
    }
    response.map(Body::new)
}

async fn bmc(
    State((http, bmcs, killer)): State<(reqwest::Client, Vec<SocketAddr>, Arc<Killer>)>,
    request: Request,
) -> Response<Body> {
    let is_write = is_write(&request);
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str()).to_owned();
    let second = bmcs.get(1).filter(|_| path.contains("/Systems/2"));
    let (to, path) = match second {
        Some(second) => (*second, path.replace("/Systems/2", "/Systems/1")),
        None => (bmcs[0], path),
    };
    let (mut parts, body) = request.into_parts();
    for name in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
        parts.headers.remove(name);
    }
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap();
    let asked = http.request(parts.method, format!("http://{to}{path}")).headers(parts.headers);
    let Ok(answer) = asked.body(body).send().await else { return unavailable() };
    let answer: Response<reqwest::Body> = answer.into();
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await else { return unavailable() };
    if is_write && killer.written() {
        return unavailable();
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::TRANSFER_ENCODING);
    let mut body = body.to_bytes().to_vec();
    if second.is_some() {
        let text = String::from_utf8(body).unwrap();
        body = text.replace("/Systems/1", "/Systems/2").into_bytes();
    }
    Response::from_parts(parts, Body::from(body))
}

fn unavailable() -> Response<Body> {
    StatusCode::BAD_GATEWAY.into_response()
}
