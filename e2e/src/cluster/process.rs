//! Our binaries, as processes of a test.

use super::{eventually, is_ready, run, workspace};
use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::OnceCell,
    time::timeout,
};

/// How long the workspace may take to build.
const BUILD: Duration = Duration::from_mins(40);

/// Folder with binaries that were built beforehand.
const BIN_DIR: &str = "BLOOMERY_BIN_DIR";

/// Prefixes of the variables in which cargo describes the package to a process.
const OF_A_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"];

/// The binary `name` of this workspace: from the folder that `BLOOMERY_BIN_DIR` names, or built from
/// the sources as they are now, in the profile of the test itself.
///
/// # Errors
///
/// If the workspace does not build, or has no such binary.
pub async fn binary(name: &str) -> Result<PathBuf> {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let folder = BUILT
        .get_or_try_init(async || match std::env::var_os(BIN_DIR) {
            Some(folder) => Ok(folder.into()),
            None => build().await,
        })
        .await?;
    let binary = folder.join(name);
    ensure!(binary.is_file(), "no binary {name} in {}", folder.display());
    Ok(binary)
}

/// Builds what `cargo test --workspace` builds: with any other selection of targets, cargo would
/// compile half of the dependencies again, with other features.
async fn build() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile = test.ancestors().nth(2).context("a test is in target/PROFILE/deps")?.to_owned();
    let target = profile.parent().context("a profile is in the target folder")?;
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    // Build scripts of dependencies would see the variables that describe this test's package, run
    // again because they changed, and have everything after them recompiled.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_A_PACKAGE.iter().any(|of| name.starts_with(of))) {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--quiet", "--locked", "--workspace", "--all-targets", "--target-dir"]);
    cargo.arg(target).current_dir(workspace());
    if profile.file_name() == Some(OsStr::new("release")) {
        cargo.arg("--release");
    }
    run(&mut cargo, "", BUILD).await?;
    Ok(profile)
}

/// Logs of the processes that were started in this folder, by [`Process::start`] or by
/// `hack/control-plane`, and have ended.
///
/// # Errors
///
/// If there is no such folder.
pub fn ended(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "pid") && has_ended(&path)? {
            logs.push(path.with_extension("log"));
        }
    }
    Ok(logs)
}

/// Whether the process with the pid in this file has ended.
fn has_ended(file: &Path) -> Result<bool> {
    let id = fs::read_to_string(file)?;
    // The pid is still being written.
    let Some(id) = id.strip_suffix('\n') else { return Ok(false) };
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { return Ok(true) };
    // The name is in brackets and may contain anything; a zombie has ended but was not reaped yet.
    Ok(stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z')))
}

/// A process that ends with the test that started it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, and appends what it prints to the file `log`.
    ///
    /// If the log is in [`Cluster::scratch`](super::Cluster::scratch) and the command line names a
    /// kubeconfig of the same cluster, the process ends with the cluster even if the test is
    /// killed.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: impl Into<PathBuf>) -> Result<Self> {
        let log = log.into();
        let file = File::options().create(true).append(true).open(&log)?;
        let name = command.as_std().get_program().to_string_lossy().into_owned();
        command.kill_on_drop(true).stdout(file.try_clone()?).stderr(file);
        // The end of its log is shown if it fails, which is to be the error.
        command.env("RUST_BACKTRACE", "0");
        let child = command.spawn().context(name)?;
        if let Some(id) = child.id() {
            fs::write(log.with_extension("pid"), format!("{id}\n"))?;
        }
        Ok(Self { child, log })
    }

    /// Its pid, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its peak resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    /// Its resident memory as it is now, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// A size in its status, in bytes.
    fn status(&self, field: &'static str) -> Result<u64> {
        let id = self.id().context("it has ended")?;
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib: u64 = line.context(field)?.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// The path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What it has printed so far.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn printed(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    /// Fails, with the end of its log, unless it still runs.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let printed = self.printed().unwrap_or_default();
        let tail: Vec<_> = printed.lines().rev().take(20).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        anyhow::bail!("{status}: {}", tail.join("\n"))
    }

    /// Waits up to `within` until it reports ready at this health address.
    ///
    /// # Errors
    ///
    /// If it ends, or is not ready in time; with the end of its log, or what it is waiting for.
    pub async fn ready(&mut self, health: SocketAddr, within: Duration) -> Result<()> {
        eventually(within, async || {
            self.check()?;
            is_ready(health).await
        })
        .await
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        self.stop().await
    }

    /// The same; its log can still be read.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub async fn stop(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends SIGTERM, as Kubernetes does, and waits up to `within` for it to exit.
    ///
    /// # Errors
    ///
    /// If it does not exit in time, or exits with a failure.
    pub async fn terminate(mut self, within: Duration) -> Result<()> {
        if let Some(id) = self.child.id() {
            run(Command::new("kill").arg(id.to_string()), "", within).await?;
        }
        let ended = timeout(within, self.child.wait()).await;
        let status = ended.with_context(|| format!("still there {within:?} after SIGTERM"))??;
        ensure!(status.success(), "ended with {status}");
        Ok(())
    }
}
