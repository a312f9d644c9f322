//! An operator as a process, which can be killed and restarted.

use crate::cluster::{Process, eventually, is_ready};
use anyhow::{Context, Result};
use metal_base::Locked;
use std::{
    collections::BTreeMap,
    fmt::Display,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::process::Command;

/// An operator.
#[derive(Debug)]
pub struct Operator {
    name: String,
    binary: PathBuf,
    args: Vec<String>,
    variables: BTreeMap<String, String>,
    /// Whether it runs without the variables of this process.
    is_pod: bool,
    log: PathBuf,
    health: SocketAddr,
    process: Mutex<Option<Process>>,
}

impl Operator {
    /// An operator that logs to this file, and serves its health at this address.
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

    /// Sets a flag, in place of one with the same name.
    #[must_use]
    pub fn flag(self, name: &str, value: impl Display) -> Self {
        self.argument(format!("{name}={value}"))
    }

    /// Adds an argument, in place of a flag with the same name.
    #[must_use]
    pub(super) fn argument(mut self, argument: String) -> Self {
        let name = |argument: &str| argument.split('=').next().map(str::to_owned);
        self.args.retain(|other| name(other) != name(&argument));
        self.args.push(argument);
        self
    }

    /// Gives it these variables, and none of this process.
    #[must_use]
    pub(super) fn environment(mut self, variables: BTreeMap<String, String>) -> Self {
        self.variables = variables;
        self.is_pod = true;
        self
    }

    /// Sets one more variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable that it has been given.
    pub fn given_variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Adds flags of the stack's settings.
    #[must_use]
    pub(super) fn flags(self, flags: Vec<String>) -> Self {
        flags.into_iter().fold(self, Self::argument)
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
        // Ctrl-C at a terminal is for this process only, which then ends the operator itself.
        command.process_group(0);
        command.args(&self.args).stdin(Stdio::null()).envs(&self.variables);
        *self.process() = Some(Process::start(&mut command, &self.log)?);
        Ok(())
    }

    /// Waits until it reports ready.
    ///
    /// # Errors
    ///
    /// If it exits, or takes longer than `within`; with the end of its log, or what it is waiting
    /// for.
    pub async fn ready(&self, within: Duration) -> Result<()> {
        let ready = eventually(within, async || {
            self.check()?;
            self.is_ready().await
        });
        ready.await.context(self.name.clone())
    }

    /// Succeeds if it reports ready.
    ///
    /// # Errors
    ///
    /// If it does not; with what it is waiting for.
    pub async fn is_ready(&self) -> Result<()> {
        is_ready(self.health).await
    }

    /// Fails, with the end of its log, unless it still runs.
    ///
    /// # Errors
    ///
    /// If it has ended, or was never started.
    pub fn check(&self) -> Result<()> {
        self.process().as_mut().context("not started")?.check()
    }

    /// Sends SIGTERM, as Kubernetes does, and waits up to `within` for it to exit.
    ///
    /// # Errors
    ///
    /// If it does not exit in time, or exits with a failure.
    pub async fn terminate(&self, within: Duration) -> Result<()> {
        let process = self.process().take();
        process.context("not started")?.terminate(within).await
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// If it cannot be killed.
    pub async fn kill(&self) -> Result<()> {
        let process = self.process().take();
        process.context("not started")?.kill().await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its health address.
    pub fn health(&self) -> SocketAddr {
        self.health
    }

    /// Its peak resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn peak_memory(&self) -> Result<u64> {
        self.process().as_ref().context("not started")?.peak_memory()
    }

    /// Its resident memory as it is now, in bytes.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn memory(&self) -> Result<u64> {
        self.process().as_ref().context("not started")?.memory()
    }

    /// What all its processes have printed so far.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn printed(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.log)?).into_owned())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.locked()
    }
}
