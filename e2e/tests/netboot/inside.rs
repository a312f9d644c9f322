//! A network for each test, and what a test needs in there.

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
/// Set inside: where the binary of netboot is.
const NETBOOT: &str = "BLOOMERY_E2E_NETBOOT";
/// Set inside: where dhclient and dhcrelay are.
const PEERS: &str = "BLOOMERY_E2E_DHCP_PEERS";

/// What was found before.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) netboot: PathBuf,
    pub(crate) dhclient: PathBuf,
    pub(crate) dhcrelay: PathBuf,
}

/// Runs a test in a network of its own, which has nothing but loopback.
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
    // Where a Debian of this age has it.
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
