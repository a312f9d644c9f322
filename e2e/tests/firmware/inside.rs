//! A network for each test, and what a test needs in it.

use crate::{image::image, node, rented};
use anyhow::{Context, Result};
use e2e::{
    cluster::binary,
    namespace::{self, ip, name_of, script},
};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
    time::timeout,
};

/// How long a test may take, once everything that it needs has been built.
const LIMIT: Duration = Duration::from_mins(30);
/// Set in the namespace: folder of our binaries.
const BIN_DIR: &str = "BLOOMERY_BIN_DIR";
/// Set in the namespace: folder of the discovery image.
const INSIDE: &str = "BLOOMERY_E2E_FIRMWARE";
/// Set in the namespace: folder of ISC's relay and server.
const PEERS: &str = "BLOOMERY_E2E_DHCP_PEERS";
/// Set in the namespace: folder of the next Debian's OVMF.
const NEWER: &str = "BLOOMERY_E2E_NEWER_OVMF";
/// Concurrent virtual machines: without KVM, each keeps a core busy.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Runs a test in a network namespace with nothing but loopback.
pub(crate) fn in_a_network_of_its_own<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || PathBuf::new());
}

/// The same for a test that needs the discovery image.
pub(crate) fn with_discovery_image<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || image().await.to_owned());
}

/// The same for a test that installs machines.
pub(crate) fn with_netboot_image<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || node::image().await.to_owned());
}

/// The same for a test that installs machines with the least that makes a node.
pub(crate) fn with_small_netboot_image<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || node::small_image().await.to_owned());
}

/// The same for a test that installs rented servers.
pub(crate) fn with_rented_image<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || rented::image().await.to_owned());
}

/// The folder with the netboot image.
pub(crate) fn netboot_image() -> PathBuf {
    env::var_os(INSIDE).unwrap_or_default().into()
}

/// The folder with the discovery image.
pub(crate) fn discovery_image() -> PathBuf {
    env::var_os(INSIDE).unwrap_or_default().into()
}

/// The folder with the next Debian's OVMF.
pub(crate) fn newer_firmware() -> PathBuf {
    env::var_os(NEWER).unwrap_or_default().into()
}

/// Path of an ISC program.
pub(crate) fn peer(name: &str) -> PathBuf {
    let folder = PathBuf::from(env::var_os(PEERS).unwrap_or_default());
    // Its path depends on the age of the Debian.
    let places = ["usr/sbin", "sbin"].map(|place| folder.join(place).join(name));
    places.into_iter().find(|place| place.exists()).unwrap()
}

fn run_test<T: AsyncFnOnce()>(test: T, image: impl AsyncFnOnce() -> PathBuf) {
    if env::var_os(INSIDE).is_some() {
        ip("link set lo up").unwrap();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async { timeout(LIMIT, test()).await.unwrap() });
    } else {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let netboot = binary("netboot").await.unwrap();
            let image = image().await;
            let _turn = TURNS.acquire().await.unwrap();
            enter(name_of::<T>(), netboot.parent().unwrap(), &image).unwrap();
        });
    }
}

fn enter(test: &str, binaries: &Path, image: &Path) -> Result<()> {
    let flags = script("e2e/tests/firmware/needs.sh")?;
    let peers = script("operators/netboot/tests/peers.sh")?;
    let qemu = script("hack/qemu")?;
    let newer = qemu.lines().find_map(|line| line.strip_prefix("newer="));
    let newer = newer.context("hack/qemu names no newer firmware")?;
    let variables = [
        (INSIDE, image.as_os_str()),
        (BIN_DIR, binaries.as_os_str()),
        (PEERS, peers.as_ref()),
        (NEWER, newer.as_ref()),
    ];
    let printed = namespace::enter(test, &flags, &variables)?;
    // Shows the measurements of the test to whoever runs it.
    printed
        .lines()
        .filter(|line| line.starts_with("firmware: "))
        .for_each(|line| println!("{line}"));
    Ok(())
}
