//! The network of the attacks: the test runs itself again in a network namespace.

use e2e::{
    cluster::binary,
    namespace::{self, ip, name_of, script},
};
use metal_runtime::listener::raise_file_limit;
use std::{env, ffi::OsStr, time::Duration};
use tokio::{runtime, time::timeout};

/// Set in the namespace.
const INSIDE: &str = "BLOOMERY_E2E_ATTACK";
/// Folder of the binaries, for the test in the namespace.
const BIN_DIR: &str = "BLOOMERY_BIN_DIR";

/// Runs a test in a network namespace with nothing but loopback, within `limit`, and prints its
/// output.
#[expect(clippy::print_stdout, reason = "what was attacked, and what was lost")]
pub(crate) fn in_a_network_of_its_own<T: AsyncFnOnce()>(limit: Duration, test: T) {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if env::var_os(INSIDE).is_some() {
        raise_file_limit();
        ip("link set lo up").unwrap();
        runtime.block_on(async { timeout(limit, test()).await.unwrap() });
        return;
    }
    let netboot = runtime.block_on(binary("netboot")).unwrap();
    let flags = script("e2e/tests/netboot/needs.sh").unwrap();
    let folder = netboot.parent().unwrap().as_os_str();
    let variables = [(INSIDE, OsStr::new("1")), (BIN_DIR, folder)];
    let printed = namespace::enter(name_of::<T>(), &flags, &variables).unwrap();
    for line in printed.lines().filter(|line| line.contains("lost: ")) {
        println!("{line}");
    }
}
