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
/// Set inside: where the binary of metalman is.
const METALMAN: &str = "BLOOMERY_E2E_METALMAN";
/// Set inside: where dhclient and dhcrelay are.
const PEERS: &str = "BLOOMERY_E2E_DHCP_PEERS";

/// What was found before.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) metalman: PathBuf,
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
        let metalman = runtime.block_on(binary("metalman")).unwrap();
        enter(name_of::<T>(), &metalman).unwrap();
    }
}

fn tools() -> Option<Tools> {
    let metalman = env::var_os(METALMAN)?.into();
    let peers = PathBuf::from(env::var_os(PEERS)?);
    // Where a Debian of this age has it.
    let peer = |name: &str| {
        let places = ["usr/sbin", "sbin"].map(|folder| peers.join(folder).join(name));
        places.into_iter().find(|place| place.exists()).unwrap()
    };
    Some(Tools { metalman, dhclient: peer("dhclient"), dhcrelay: peer("dhcrelay") })
}

fn enter(test: &str, metalman: &Path) -> Result<()> {
    let flags = script("e2e/tests/netboot/needs.sh")?;
    let peers = script("operators/netboot/tests/peers.sh")?;
    let variables = [(METALMAN, metalman.as_os_str()), (PEERS, peers.as_ref())];
    namespace::enter(test, &flags, &variables).map(drop)
}
