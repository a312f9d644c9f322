//! An operator as a process, which can be killed and started again.

use super::{Host, account::Accounts, registry::client};
use crate::cluster::{self, Process, eventually};
use anyhow::{Context, Result, ensure};
use std::{
    ffi::OsString,
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::process::Command;

/// Where the operators' binaries are.
#[derive(Debug)]
pub(super) struct Binaries {
    metal: PathBuf,
    boot: PathBuf,
}

impl Binaries {
    /// In this folder; else where [`cluster::binary`] finds or builds them.
    pub(super) async fn find(folder: Option<PathBuf>) -> Result<Self> {
        let find = async |name: &str| match &folder {
            Some(folder) => Ok(folder.join(name)),
            None => cluster::binary(name).await,
        };
        Ok(Self { metal: find("metal-operator").await?, boot: find("boot-operator").await? })
    }
}

/// An operator.
#[derive(Debug)]
pub struct Operator {
    name: &'static str,
    binary: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
    health: SocketAddr,
    process: Mutex<Option<Process>>,
}

/// The metal-operator, with its registry on `port` of `host`.
pub(super) fn metal(
    binaries: &Binaries,
    scratch: &Path,
    accounts: &Accounts,
    host: &Host,
    port: u16,
) -> Result<Operator> {
    let at = host.at(port)?;
    let operator = Operator::new("metal-operator", &binaries.metal, scratch, host)?;
    Ok(operator
        .flag("--kubeconfig", accounts.metal.display())
        .flag("--manager-namespace", super::NAMESPACE)
        .flag("--leader-elect-namespace", super::NAMESPACE)
        .flag("--probe-image", "registry.example/metalprobe:1")
        .flag("--registry-url", format!("http://{at}"))
        .flag("--registry-bind-address", at))
}

/// The boot-operator, with its boot and image servers on these ports of `host`.
pub(super) fn boot(
    binaries: &Binaries,
    scratch: &Path,
    accounts: &Accounts,
    host: &Host,
    boot_port: u16,
    image_port: u16,
) -> Result<Operator> {
    let (boot, image) = (host.at(boot_port)?, host.at(image_port)?);
    let operator = Operator::new("boot-operator", &binaries.boot, scratch, host)?;
    Ok(operator
        .flag("--kubeconfig", accounts.boot.display())
        .flag("--leader-elect-namespace", super::NAMESPACE)
        .flag("--boot-server-address", boot)
        .flag("--image-proxy-server-address", image)
        .flag("--ipxe-service-url", format!("http://{boot}"))
        .flag("--image-server-url", format!("http://{image}/httpboot"))
        .flag("--image-cache-dir", scratch.join("images").display()))
}

impl Operator {
    fn new(name: &'static str, binary: &Path, scratch: &Path, host: &Host) -> Result<Self> {
        let health = host.spare()?;
        let operator = Self {
            name,
            binary: binary.to_owned(),
            args: Vec::new(),
            log: scratch.join(format!("{name}.log")),
            health,
            process: Mutex::new(None),
        };
        // A pod's name survives the restart of its container, and with it the lease.
        Ok(operator
            .flag("--health-probe-bind-address", health)
            .flag("--metrics-bind-address", 0)
            .flag("--leader-elect", true)
            .flag("--leader-elect-identity", format!("{name}-0")))
    }

    /// One flag more.
    #[must_use]
    pub(super) fn flag(mut self, name: &str, value: impl Display) -> Self {
        self.args.push(format!("{name}={value}").into());
        self
    }

    /// Flags of whoever starts the stack.
    #[must_use]
    pub(super) fn flags(mut self, flags: Vec<String>) -> Self {
        self.args.extend(flags.into_iter().map(OsString::from));
        self
    }

    /// Starts the process.
    ///
    /// # Errors
    ///
    /// If there is no such binary.
    pub fn start(&self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(&self.args).stdin(Stdio::null()).env("NO_COLOR", "1");
        *self.process() = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    ///
    /// If it ends, or takes longer than `within`; with what it printed last, or waits for.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        let (http, url) = (client()?, format!("http://{}/readyz", self.health));
        let ready = eventually(within, async || {
            self.process().as_mut().context("not started")?.check()?;
            let answer = http.get(&url).send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{status}: {text}");
            Ok(())
        });
        ready.await.context(self.name)
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// If it cannot be ended.
    pub async fn kill(&self) -> Result<()> {
        let process = self.process().take();
        process.context("not started")?.kill().await
    }

    /// Where it tells its health.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// The most memory that it ever had resident, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        self.process().as_ref().context("not started")?.peak_memory()
    }

    /// What it has printed so far, over all its lives.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn printed(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
