//! A network for each test: the test binary starts itself once more in a network namespace, for
//! this one test. So nothing has to be removed from this machine, however the test ends; where it
//! is not root, the namespace is in a user namespace.

use crate::image::image;
use anyhow::{Context, Result, ensure};
use e2e::cluster::{binary, workspace};
use std::{
    any::type_name,
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tokio::{
    runtime::{self, Runtime},
    sync::Semaphore,
    time::timeout,
};

/// How long a test may take, once all that it needs is there.
const LIMIT: Duration = Duration::from_mins(4);
/// Set inside, to the folder with our binaries.
const BIN_DIR: &str = "BLOOMERY_BIN_DIR";
/// Set inside, to the folder with the discovery image.
const INSIDE: &str = "BLOOMERY_E2E_FIRMWARE";
/// Virtual machines at a time: without KVM, each of them keeps a core busy.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Runs a test in a network of its own, which has nothing but loopback.
pub(crate) fn in_a_network_of_its_own<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || PathBuf::new());
}

/// The same for a test that needs the discovery image.
pub(crate) fn with_discovery_image<T: AsyncFnOnce()>(test: T) {
    run_test(test, async || image().await.to_owned());
}

/// The folder with the discovery image.
pub(crate) fn discovery_image() -> PathBuf {
    env::var_os(INSIDE).unwrap_or_default().into()
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

/// The name by which libtest knows the test whose body is the closure `T`.
fn name_of<T>() -> &'static str {
    let path = type_name::<T>();
    let path = path.split_once("::{{closure}}").map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

fn enter(test: &str, binaries: &Path, image: &Path) -> Result<()> {
    let flags = run(&mut Command::new(workspace().join("e2e/tests/firmware/prepare.sh")))?;
    // It does not outlive this one.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", &flags]).arg(env::current_exe()?);
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, image).env(BIN_DIR, binaries);
    let printed = run(&mut command)?;
    ensure!(printed.contains("1 passed"), "no test is named {test}: {printed}");
    // What a test has measured is for whoever runs it.
    printed
        .lines()
        .filter(|line| line.starts_with("firmware: "))
        .for_each(|line| println!("{line}"));
    Ok(())
}

/// `ip`, here.
pub(crate) fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).map(drop)
}

/// What a command prints, which must succeed.
fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    ensure!(status.success(), "{command:?}: {status}\n{printed}\n{}", said.trim());
    Ok(printed)
}
