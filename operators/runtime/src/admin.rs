//! What a process reports about itself: `/healthz` and `/readyz` on one listener, `/metrics` on
//! another, with separate limits.

use crate::{
    args::{AdminArgs, BindError},
    health::Readiness,
    listener::{self, Limits},
    metrics::Registry,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The two listeners, bound but not serving yet. Either may be disabled.
#[derive(Debug)]
pub struct Admin {
    health: Option<TcpListener>,
    /// Answers as `health` does.
    loopback: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Admin {
    /// Binds the listeners that the flags name.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound.
    pub async fn bind(args: &AdminArgs) -> Result<Self, BindError> {
        let health = args.health_probe_bind_address.listen_by("--health-probe-bind-address");
        let metrics = args.metrics_bind_address.listen_by("--metrics-bind-address");
        Ok(Self { health: health.await?, loopback: None, metrics: metrics.await? })
    }

    /// Answers `/healthz` and `/readyz` at 127.0.0.1 as well, on the same port, where a kubelet asks that does not
    /// know the address. If another process has it, only a log line says so.
    pub async fn at_loopback_too(mut self) -> Self {
        let own = self.health_address();
        let Some(own) = own.filter(|own| !own.ip().is_unspecified()) else { return self };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, own.port()));
        if address != own {
            match TcpListener::bind(address).await {
                Ok(listener) => self.loopback = Some(listener),
                Err(error) => tracing::warn!(%error, %address, "health is not reported there"),
            }
        }
        self
    }

    /// Where `/healthz` and `/readyz` answer.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Where `/metrics` answers.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown` is cancelled. Parts that are registered with `readiness` later are
    /// included; metrics must be registered before.
    pub async fn serve(
        self,
        readiness: Readiness,
        registry: Registry,
        shutdown: CancellationToken,
    ) {
        let probes = health(readiness);
        let loopback = serve(self.loopback, probes.clone(), Limits::PROBES, &shutdown);
        let health = serve(self.health, probes, Limits::PROBES, &shutdown);
        let metrics = serve(self.metrics, metrics(registry), Limits::METRICS, &shutdown);
        tokio::join!(health, loopback, metrics);
    }
}

async fn serve(
    listener: Option<TcpListener>,
    router: Router,
    limits: Limits,
    shutdown: &CancellationToken,
) {
    match listener {
        Some(listener) => {
            listener::serve(listener, router, limits, shutdown.clone()).await;
        }
        None => shutdown.cancelled().await,
    }
}

/// `/healthz`: the event loop is running. `/readyz`: no part is waiting, or which part waits for
/// what.
fn health(readiness: Readiness) -> Router {
    let ready = |State(readiness): State<Readiness>| async move {
        let ready = readiness.is_ready();
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (code, readiness.report())
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(readiness)
}

fn metrics(registry: Registry) -> Router {
    Router::new().route("/metrics", get(exposition)).with_state(Arc::new(registry))
}

async fn exposition(State(registry): State<Arc<Registry>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match registry.text() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::BindAddress;
    use axum::body::{Body, to_bytes};
    use http::Request;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    #[tokio::test]
    async fn readyz_is_503_with_the_reason_until_the_gate_opens() {
        let readiness = Readiness::default();
        let gate = readiness.gate("index", "the first list");
        let waiting = ask(health(readiness.clone()), "/readyz").await;
        assert_eq!(
            waiting,
            (StatusCode::SERVICE_UNAVAILABLE, line("[-] index: waiting for the first list"))
        );
        assert_eq!(ask(health(readiness.clone()), "/healthz").await, (StatusCode::OK, line("ok")));

        gate.open();
        assert_eq!(ask(health(readiness), "/readyz").await, (StatusCode::OK, line("[+] index")));
    }

    #[tokio::test]
    async fn metrics_are_not_on_the_health_listener_nor_the_other_way_round() {
        let mut registry = Registry::of("example");
        let passes = Counter::<u64>::default();
        registry.register("passes", "Passes so far", passes.clone());
        passes.inc();
        let (code, text) = ask(metrics(registry), "/metrics").await;
        assert_eq!(code, StatusCode::OK);
        assert!(text.contains("passes_total 1\n"), "{text}");

        assert_eq!(ask(health(Readiness::default()), "/metrics").await.0, StatusCode::NOT_FOUND);
        assert_eq!(
            ask(metrics(Registry::of("example")), "/healthz").await.0,
            StatusCode::NOT_FOUND
        );
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_its_flag() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = holder.local_addr().unwrap().to_string();
        let args = AdminArgs {
            health_probe_bind_address: "127.0.0.1:0".parse().unwrap(),
            metrics_bind_address: taken.parse().unwrap(),
        };
        let error = Admin::bind(&args).await.unwrap_err();
        assert_eq!(error.to_string(), format!("--metrics-bind-address={taken}: cannot listen"));
        drop(holder);
    }

    #[tokio::test]
    async fn a_kubelet_that_asks_at_loopback_is_answered_whatever_the_address_is() {
        let bound = async |address: &str| {
            let health_probe_bind_address = address.parse().unwrap();
            let metrics_bind_address = BindAddress::Off;
            let args = AdminArgs { metrics_bind_address, health_probe_bind_address };
            Admin::bind(&args).await.unwrap().at_loopback_too().await
        };
        let admin = bound("127.0.0.2:0").await;
        let port = admin.health_address().unwrap().port();
        let loopback = admin.loopback.as_ref().unwrap().local_addr().unwrap();
        assert_eq!(loopback, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        for address in ["0.0.0.0:0", "127.0.0.1:0", "0"] {
            assert!(bound(address).await.loopback.is_none(), "{address}");
        }
    }

    #[tokio::test]
    async fn serving_ends_with_the_token_also_when_both_listeners_are_off() {
        let off = || BindAddress::Off;
        let args = AdminArgs { health_probe_bind_address: off(), metrics_bind_address: off() };
        let admin = Admin::bind(&args).await.unwrap();
        assert_eq!((admin.health_address(), admin.metrics_address()), (None, None));
        let token = CancellationToken::new();
        let serving = admin.serve(Readiness::default(), Registry::of("example"), token.clone());
        let mut serving = std::pin::pin!(serving);
        assert!(futures::poll!(&mut serving).is_pending());
        token.cancel();
        serving.await;
    }

    fn line(text: &str) -> String {
        format!("{text}\n")
    }

    async fn ask(router: Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let code = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }
}
