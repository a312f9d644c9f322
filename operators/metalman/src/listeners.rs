//! The DHCP and TFTP servers, each on its own thread.

use crate::{
    Context,
    args::Args,
    dhcp::{self, Listen},
    metrics,
    serve_url::ServeUrl,
    tftp::{Addresses, ImageFiles},
};
use metal_runtime::{LogLimit, health::Readiness, metrics::Registry};
use metal_serve::{
    dhcp::Error,
    neighbor_limit::NeighborLimit,
    tftp,
    threads::{self, Running},
};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The DHCP and TFTP servers.
pub(crate) struct Listeners {
    dhcp: Option<Running<Error>>,
    tftp: Option<Running<tftp::Error>>,
}

/// What the servers share.
pub(crate) struct Common<'a> {
    args: &'a Args,
    ctx: &'a Arc<Context>,
    neighbors: NeighborLimit,
    readiness: &'a Readiness,
    shutdown: &'a CancellationToken,
}

impl Listeners {
    /// Waits until they have ended, which should be at `shutdown`.
    ///
    /// # Errors
    ///
    /// If one has failed.
    pub(crate) async fn ended(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let dhcp = async {
            match self.dhcp {
                Some(dhcp) => dhcp.ended(shutdown).await.map_err(anyhow::Error::from),
                None => Ok(()),
            }
        };
        let tftp = async {
            match self.tftp {
                Some(tftp) => tftp.ended(shutdown).await.map_err(anyhow::Error::from),
                None => Ok(()),
            }
        };
        let ((), dhcp, tftp) = tokio::join!(shutdown.cancelled(), dhcp, tftp);
        dhcp.and(tftp)
    }
}

impl<'a> Common<'a> {
    /// Tells `readiness` of each server whether it has opened its sockets.
    pub(crate) fn new(
        args: &'a Args,
        ctx: &'a Arc<Context>,
        readiness: &'a Readiness,
        shutdown: &'a CancellationToken,
    ) -> Self {
        Self { args, ctx, neighbors: NeighborLimit::default(), readiness, shutdown }
    }

    /// Starts the servers; when this returns, each one has opened its sockets or failed.
    ///
    /// # Errors
    ///
    /// If it cannot be determined where to listen.
    pub(crate) async fn start(self, registry: &mut Registry) -> anyhow::Result<Listeners> {
        let (of_dhcp, of_tftp) = (metrics::dhcp(registry), tftp::Metrics::register(registry));
        let dhcp = match listen(self.args, &self.args.serve_url())? {
            Some(listen) => Some(self.dhcp(listen, of_dhcp).await),
            None => None,
        };
        let tftp = match self.args.tftp_port {
            0 => None,
            port => Some(self.tftp(port, of_tftp).await),
        };
        Ok(Listeners { dhcp, tftp })
    }

    async fn dhcp(&self, listen: Listen, metrics: metal_serve::dhcp::Metrics) -> Running<Error> {
        let parts = dhcp::Parts {
            ctx: Arc::clone(self.ctx),
            listen,
            url: self.args.serve_url(),
            neighbors: self.neighbors.clone(),
            metrics,
            ready: self.readiness.gate("dhcp", "its sockets"),
        };
        let serve = |opened, stop: &_| dhcp::serve(parts, opened, stop);
        threads::start("DHCP", serve, self.shutdown).await
    }

    async fn tftp(&self, port: u16, metrics: tftp::Metrics) -> Running<tftp::Error> {
        let url = self.args.serve_url();
        let own = url.bound().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let at: Addresses = vec![SocketAddr::from((own, port))];
        let config = watch::Sender::new(Arc::new(at)).subscribe();
        let (ctx, told) = (Arc::clone(self.ctx), LogLimit::default());
        let parts = tftp::Parts {
            addresses: tftp::Addresses { config, of: Clone::clone },
            files: Box::new(ImageFiles { ctx, url, told }),
            neighbors: self.neighbors.clone(),
            metrics,
            ready: self.readiness.gate("tftp", "its sockets"),
        };
        let serve = |opened, stop: &_| tftp::serve(parts, opened, stop);
        threads::start("TFTP", serve, self.shutdown).await
    }
}

/// Where DHCP requests are answered, if at all.
fn listen(args: &Args, url: &ServeUrl) -> anyhow::Result<Option<Listen>> {
    let port = args.dhcp_port;
    let interface = args.dhcp_interface.as_deref().filter(|name| !name.is_empty());
    Ok(match interface {
        _ if port == 0 => None,
        Some(name) => Some(Listen::Interface { name: name.to_owned(), port }),
        None if args.dhcp_auto_interface => {
            let address = url.own_address().ok_or_else(|| {
                anyhow::anyhow!(
                    "--dhcp-auto-interface: this host has no default route, so the interface \
                     cannot be determined: set --bind-address or --dhcp-interface"
                )
            })?;
            Some(Listen::InterfaceOf { address, port })
        }
        None => {
            let any = Ipv4Addr::UNSPECIFIED;
            Some(Listen::Relays(SocketAddrV4::new(url.bound().unwrap_or(any), port)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn listen_at(flags: &str) -> Option<Listen> {
        let words = ["metalman", "serve-pxe"].into_iter().chain(flags.split_whitespace());
        let args = parse(words.map(Into::into), |_| false).unwrap().args;
        listen(&args, &args.serve_url()).unwrap()
    }

    #[test]
    fn machines_are_heard_on_an_interface_and_relays_wherever_http_is_served() {
        let relays = |text: &str| Some(Listen::Relays(text.parse().unwrap()));
        assert_eq!(listen_at(""), relays("0.0.0.0:67"));
        assert_eq!(listen_at("--bind-address=10.0.0.2 --dhcp-port=6767"), relays("10.0.0.2:6767"));
        assert_eq!(listen_at("--bind-address=:: --dhcp-interface="), relays("0.0.0.0:67"));
        assert_eq!(listen_at("--dhcp-port=0 --dhcp-interface=eth1"), None);
        let eth1 = Listen::Interface { name: "eth1".to_owned(), port: 67 };
        assert_eq!(listen_at("--dhcp-interface=eth1"), Some(eth1));
    }

    #[test]
    fn the_interface_that_is_found_is_that_of_our_address_whatever_the_url_says() {
        let flags = "--dhcp-auto-interface --bind-address=10.0.0.2 --serve-url=http://boot:80";
        let found = Listen::InterfaceOf { address: [10, 0, 0, 2].into(), port: 67 };
        assert_eq!(listen_at(flags), Some(found));
    }
}
