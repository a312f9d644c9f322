//! A network for each test.

pub(crate) use e2e::namespace::Tools;

use e2e::namespace::with_peers;

/// Runs a test in a network namespace with nothing but loopback.
pub(crate) fn in_a_network_of_its_own<T: AsyncFnOnce(Tools)>(test: T) {
    with_peers("netboot", test).unwrap();
}
