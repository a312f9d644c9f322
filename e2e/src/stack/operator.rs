//! An operator as a process, which can be killed and started again.

use super::{Host, account::Accounts, registry::client};
use crate::cluster::{self, Process, eventually};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
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
    name: String,
    binary: PathBuf,
    args: Vec<OsString>,
    variables: BTreeMap<String, String>,
    /// Whether it has none of the variables of this process.
    is_pod: bool,
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
    Ok(leader("metal-operator", &binaries.metal, scratch, host)?
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
    Ok(leader("boot-operator", &binaries.boot, scratch, host)?
        .flag("--kubeconfig", accounts.boot.display())
        .flag("--leader-elect-namespace", super::NAMESPACE)
        .flag("--boot-server-address", boot)
        .flag("--image-proxy-server-address", image)
        .flag("--ipxe-service-url", format!("http://{boot}"))
        .flag("--image-server-url", format!("http://{image}/httpboot"))
        .flag("--image-cache-dir", scratch.join("images").display()))
}

/// One of several that only one of may act.
fn leader(name: &str, binary: &Path, scratch: &Path, host: &Host) -> Result<Operator> {
    let operator = Operator::new(name, binary, scratch.join(format!("{name}.log")), host.spare()?);
    let health = operator.health;
    // A pod's name survives the restart of its container, and with it the lease.
    Ok(operator
        .flag("--health-probe-bind-address", health)
        .flag("--metrics-bind-address", 0)
        .flag("--leader-elect", true)
        .flag("--leader-elect-identity", format!("{name}-0")))
}

impl Operator {
    /// One that logs to this file, and is to tell its health at this address.
    pub(super) fn new(name: &str, binary: &Path, log: PathBuf, health: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            binary: binary.to_owned(),
            args: Vec::new(),
            variables: BTreeMap::new(),
            is_pod: false,
            log,
            health,
            process: Mutex::new(None),
        }
    }

    /// One flag more.
    #[must_use]
    pub fn flag(self, name: &str, value: impl Display) -> Self {
        self.argument(format!("{name}={value}"))
    }

    /// One argument more.
    #[must_use]
    pub(super) fn argument(mut self, argument: String) -> Self {
        self.args.push(argument.into());
        self
    }

    /// It gets these variables, and none of this process.
    #[must_use]
    pub(super) fn environment(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = variables;
        self.is_pod = true;
        self
    }

    /// One variable more.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
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
        if self.is_pod {
            command.env_clear();
        }
        // A Ctrl-C of a person is for this process, which ends the operator in its own time.
        command.process_group(0);
        command.args(&self.args).stdin(Stdio::null()).env("NO_COLOR", "1").envs(&self.variables);
        *self.process() = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    ///
    /// If it ends, or takes longer than `within`; with what it printed last, or waits for.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        let ready = eventually(within, async || {
            self.check()?;
            self.is_ready().await
        });
        ready.await.context(self.name.clone())
    }

    /// Whether it says that it is ready.
    ///
    /// # Errors
    ///
    /// If it does not; with what it waits for.
    pub async fn is_ready(&self) -> Result<()> {
        let answer = client()?.get(format!("http://{}/readyz", self.health)).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    }

    /// Fails, with what it printed last, unless it still runs.
    ///
    /// # Errors
    ///
    /// If it has ended, or was never started.
    pub fn check(&self) -> Result<()> {
        self.process().as_mut().context("not started")?.check()
    }

    /// Asks it to end, as Kubernetes does, and waits `within` for it.
    ///
    /// # Errors
    ///
    /// If it does not end in time, or not with success.
    pub async fn terminate(&self, within: Duration) -> Result<()> {
        let process = self.process().take();
        process.context("not started")?.terminate(within).await
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

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it logs.
    pub fn log(&self) -> &Path {
        &self.log
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
