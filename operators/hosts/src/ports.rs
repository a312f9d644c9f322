//! The ports for machines.

use crate::{
    args::{Args, Contradiction},
    context::Context,
    http::router,
};
use metal_runtime::{
    listener::{self, Limits, Port},
    tls::{Certificate, Https},
};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// One with TLS, and one without it, for an ingress.
pub(crate) struct Ports {
    https: Option<Https>,
    http: Option<TcpListener>,
}

impl Ports {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// If there is none, or one cannot be opened.
    pub(crate) async fn open(args: &Args) -> anyhow::Result<Self> {
        let https = args.https.open().await?;
        let http = args.http_server_address.listen_by("--http-server-address").await?;
        if https.is_none() && http.is_none() {
            return Err(Contradiction::NoListener.into());
        }
        if let Some(doubt) = doubt(args, http.is_some()) {
            tracing::warn!(doubt, "the listeners may not be what was meant");
        }
        Ok(Self { https, http })
    }

    /// The certificate of the one with TLS.
    pub(crate) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.https.as_ref().map(|https| Arc::clone(&https.certificate))
    }

    /// Serves until `shutdown`, and those who have asked before to their end.
    pub(crate) async fn serve(self, ctx: &Arc<Context>, shutdown: &CancellationToken) {
        let router = router(Arc::clone(ctx));
        let ports = self.http.map(Port::from).into_iter().chain(self.https.map(Port::from));
        // A proxy may speak TLS to us as well.
        let ports: Vec<_> = ports.map(|port| port.behind(&ctx.trusted_proxies)).collect();
        let serving = listener::serve_all(ports, &router, Limits::MACHINES, shutdown);
        // Those who wait for a change are answered: they would keep this process until it is killed.
        let close = async {
            shutdown.cancelled().await;
            ctx.polls.close();
        };
        tokio::join!(serving, close);
    }
}

/// What may be wrong with how machines come here, of which one listener `is_plain`.
fn doubt(args: &Args, is_plain: bool) -> Option<&'static str> {
    if args.service_url.starts_with("http://") {
        return Some("--service-url is plain HTTP: whoever is on the way can become the host");
    }
    let is_one = is_plain && args.trusted_proxies.is_empty();
    is_one.then_some(
        "--http-server-address without --trusted-proxies: all machines behind the proxy that ends TLS count as one \
         source",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ACCEPTED;
    use metal_runtime::args::try_parse;

    #[test]
    fn a_server_whose_machines_would_be_one_source_says_so() {
        let says = |words: &[&str], is_plain| {
            let line = ["hosts"].into_iter().chain(words.iter().copied()).map(Into::into);
            doubt(&try_parse::<Args>(ACCEPTED, line, |_| false).unwrap().args, is_plain)
        };
        let url = "--service-url=https://a";
        assert!(says(&[url], true).unwrap().contains("--trusted-proxies"));
        assert_eq!(says(&[url, "--trusted-proxies=192.0.2.0/24"], true), None);
        assert_eq!(says(&[url], false), None);
        assert!(says(&["--service-url=http://a"], true).unwrap().starts_with("--service-url"));
    }
}
