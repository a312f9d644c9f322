//! A network for each test: the test binary starts itself once more in a network namespace, for
//! this one test. So nothing has to be removed from this machine, however the test ends; where it
//! is not root, the namespace is in a user namespace.

use anyhow::{Context, Result};
use e2e::cluster::{binary, workspace};
use std::{any::type_name, env, path::PathBuf, process::Command, time::Duration};
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
        run(Command::new("ip").args(["link", "set", "lo", "up"])).unwrap();
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

/// The name by which libtest knows the test whose body is the closure `T`.
fn name_of<T>() -> &'static str {
    let path = type_name::<T>();
    let path = path.split_once("::{{closure}}").map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

fn enter(test: &str, netboot: &PathBuf) -> Result<()> {
    let flags = script("e2e/tests/netboot/prepare.sh")?;
    let peers = script("operators/netboot/tests/peers.sh")?;
    // It does not outlive this one.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", &flags]).arg(env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]).env(NETBOOT, netboot).env(PEERS, peers);
    let printed = run(&mut command)?;
    anyhow::ensure!(printed.contains("1 passed"), "no test is named {test}: {printed}");
    Ok(())
}

fn script(path: &str) -> Result<String> {
    run(&mut Command::new(workspace().join(path)))
}

/// What a command prints, which must succeed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "{command:?}: {}\n{printed}\n{}",
        output.status,
        said.trim()
    );
    Ok(printed)
}
