//! A network for a test of one of our servers, and the DHCP programs of others that it meets there.

use super::{Network, enter, ip, name_of, script};
use crate::cluster::{Cluster, Process, binary};
use anyhow::{Context, Result};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{runtime, time::timeout};

/// How long a test may take.
const LIMIT: Duration = Duration::from_mins(30);
/// Set inside: where the server is.
const SERVER: &str = "BLOOMERY_E2E_SERVER";
/// Set inside: where dhclient and dhcrelay are.
const PEERS: &str = "BLOOMERY_E2E_DHCP_PEERS";

/// What was found before the network was entered.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The server.
    pub server: PathBuf,
    /// ISC's client.
    pub dhclient: PathBuf,
    /// ISC's relay.
    pub dhcrelay: PathBuf,
}

/// Runs a test of the binary `server` in a network of its own, which has nothing but loopback.
///
/// # Errors
///
/// If the test fails, or something that it needs is missing.
pub fn with_peers<T: AsyncFnOnce(Tools)>(server: &str, test: T) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(tools) = tools()? {
        ip("link set lo up")?;
        let late = "the test takes too long";
        return runtime.block_on(async { timeout(LIMIT, test(tools)).await.context(late) });
    }
    let server = runtime.block_on(binary(server))?;
    let flags = script("e2e/tests/netboot/needs.sh")?;
    let peers = script("operators/netboot/tests/peers.sh")?;
    let variables = [(SERVER, server.as_os_str()), (PEERS, peers.as_ref())];
    enter(name_of::<T>(), &flags, &variables).map(drop)
}

fn tools() -> Result<Option<Tools>> {
    let Some(server) = env::var_os(SERVER) else { return Ok(None) };
    let peers = PathBuf::from(env::var_os(PEERS).context("the folder of peers is missing")?);
    // Its path depends on the age of the Debian.
    let peer = |name: &str| {
        let places = ["usr/sbin", "sbin"].map(|folder| peers.join(folder).join(name));
        let found = places.into_iter().find(|place| place.exists());
        found.with_context(|| format!("{name} is not in {}", peers.display()))
    };
    let (dhclient, dhcrelay) = (peer("dhclient")?, peer("dhcrelay")?);
    Ok(Some(Tools { server: server.into(), dhclient, dhcrelay }))
}

/// Links to clients, near ones and those behind a relay.
///
/// ```text
///   here: server ──── near 10.77.1.0/24 ──── clients
///                ──── far  10.77.9.0/24 ──── relay ──── behind 10.77.2.0/24 ──── clients
/// ```
#[derive(Debug)]
pub struct Links {
    /// Where clients are on a link to the server.
    pub near: Network,
    /// Where the relay is.
    pub relay: Network,
    /// Where clients are behind it.
    pub behind: Network,
}

impl Links {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// Errors of `ip`.
    pub async fn new(cluster: &Cluster) -> Result<Self> {
        let near = Network::new(cluster, "near").await?;
        let relay = Network::new(cluster, "relay").await?;
        let behind = Network::new(cluster, "behind").await?;
        near.link("near", "10.77.1.1/24")?;
        relay.link("far", "10.77.9.1/24")?;
        relay.ip("address add 10.77.9.2/24 dev far")?;
        relay.link_to(&behind, "behind", "10.77.2.1/24")?;
        ip("route add 10.77.2.0/24 via 10.77.9.2")?;
        Ok(Self { near, relay, behind })
    }

    /// Starts the relay.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_relay(&self, dhcrelay: &Path, cluster: &Cluster) -> Result<Process> {
        let mut command = self.relay.command(dhcrelay);
        command.args(["-4", "-d", "-iu", "far", "-id", "behind", "-pf"]);
        // Whatever ends the cluster's processes finds them by its folder on their command lines.
        command.arg(cluster.scratch().join("dhcrelay.number")).arg("10.77.9.1");
        Process::start(&mut command, cluster.scratch().join("dhcrelay.log"))
    }
}
