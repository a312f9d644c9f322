//! A network for each test, and what a test needs in it.

use anyhow::Result;
use e2e::{
    cluster::binary,
    namespace::{self, ip, name_of, script},
};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{runtime, time::timeout};

/// How long a test may take.
const LIMIT: Duration = Duration::from_mins(10);
/// Set in the namespace: path of the netboot binary.
const NETBOOT: &str = "BLOOMERY_E2E_NETBOOT";
/// Set in the namespace: folder of dhclient and dhcrelay.
const PEERS: &str = "BLOOMERY_E2E_DHCP_PEERS";

/// Tools whose paths were found before entering the namespace.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) netboot: PathBuf,
    pub(crate) dhclient: PathBuf,
    pub(crate) dhcrelay: PathBuf,
}

/// Runs a test in a network namespace with nothing but loopback.
pub(crate) fn in_a_network_of_its_own<T: AsyncFnOnce(Tools)>(test: T) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(tools) = tools() {
        ip("link set lo up").unwrap();
        runtime.block_on(async { timeout(LIMIT, test(tools)).await.unwrap() });
    } else {
        let netboot = runtime.block_on(binary("netboot")).unwrap();
        enter(name_of::<T>(), &netboot).unwrap();
    }
}

fn tools() -> Option<Tools> {
    let netboot = env::var_os(NETBOOT)?.into();
    let peers = PathBuf::from(env::var_os(PEERS)?);
    // Its path depends on the age of the Debian.
    let peer = |name: &str| {
        let places = ["usr/sbin", "sbin"].map(|folder| peers.join(folder).join(name));
        places.into_iter().find(|place| place.exists()).unwrap()
    };
    Some(Tools { netboot, dhclient: peer("dhclient"), dhcrelay: peer("dhcrelay") })
}

fn enter(test: &str, netboot: &Path) -> Result<()> {
    let flags = script("e2e/tests/netboot/needs.sh")?;
    let peers = script("operators/netboot/tests/peers.sh")?;
    let variables = [(NETBOOT, netboot.as_os_str()), (PEERS, peers.as_ref())];
    namespace::enter(test, &flags, &variables).map(drop)
}
