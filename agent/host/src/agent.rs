//! The loop: register, wait for a release, try it, report.

use crate::{
    args::Args,
    client::{Server, Wanted},
    config::Config,
    files,
    hook::{self, Hooked},
    key::Key,
    open::open,
    plan::{Step, next},
    state::{Failed, Release, State},
};
use anyhow::Result;
use metal_base::{Backoff, jittered};
use serde_json::{Value, json};
use std::{future::pending, path::PathBuf, time::Duration};
use tokio::time::sleep;

/// Pauses after something has failed.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(5);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// The agent of this machine.
#[derive(Debug)]
pub struct Agent {
    args: Args,
    server: Server,
    key: Key,
}

impl Agent {
    /// Reads what is there, and makes the key if there is none.
    ///
    /// # Errors
    ///
    /// If the configuration or the key cannot be used.
    pub fn new(args: Args) -> Result<Self> {
        let config = Config::read(&args.config)?;
        files::folder(&args.state_dir)?;
        let key = Key::load(&args.state_dir.join("key"))?;
        let server = Server::new(&config, args.ca_file.as_deref())?;
        Ok(Self { args, server, key })
    }

    /// Runs for ever.
    ///
    /// # Errors
    ///
    /// If what has to be recorded cannot be.
    pub async fn run(&self) -> Result<()> {
        self.register().await?;
        let (mut backoff, mut known) = (Backoff::new(FIRST, LONGEST), None);
        loop {
            match self.turn(&mut known).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::warn!("{error:#}");
                    known = None;
                    sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Registers until it is taken: what was refused once may be a token that is renewed.
    async fn register(&self) -> Result<()> {
        let mut config = Config::read(&self.args.config)?;
        let Some(credential) = config.credential.clone() else { return Ok(()) };
        let mut backoff = Backoff::new(FIRST, LONGEST);
        while let Err(error) = self.server.register(&self.key, &credential).await {
            tracing::warn!("not registered: {error:#}");
            sleep(backoff.pause()).await;
        }
        tracing::info!(host = config.host(), "registered");
        config.registered(&self.args.config)
    }

    /// Finishes what has begun, or waits for another release than the one that is `known`.
    async fn turn(&self, known: &mut Option<String>) -> Result<()> {
        let mut state = self.state()?;
        let mut wanted = None;
        if state.trying.is_none() {
            self.tell(&state).await;
            wanted = self.server.release(&self.key, known.as_deref()).await?;
            *known = Some(wanted.as_ref().map_or_else(String::new, |it| it.name.clone()));
        }
        let release = wanted.as_ref().map(described);
        match next(&state, release.as_ref()) {
            Step::Rest => self.rest(&mut state, release.as_ref()).await,
            Step::Activate(release) => self.activate(&mut state, release, wanted).await,
            Step::Check(release) => self.check(&mut state, &release).await,
            Step::GiveUp => {
                state.give_up("it was begun again and again, and never found healthy");
                self.record(&state)
            }
            Step::RollBack(release) => self.roll_back(&mut state, release.as_ref()).await,
        }
    }

    /// Nothing is to be done; what failed is forgotten once it is no longer wanted.
    async fn rest(&self, state: &mut State, wanted: Option<&Release>) -> Result<()> {
        if state.failed.is_some() && wanted.is_some() && wanted == state.active.as_ref() {
            state.failed = None;
            self.record(state)?;
        }
        // A server that answers at once is not asked again at once.
        sleep(jittered(PAUSE)).await;
        Ok(())
    }

    async fn activate(
        &self,
        state: &mut State,
        release: Release,
        wanted: Option<Wanted>,
    ) -> Result<()> {
        if let Some(wanted) = wanted {
            if let Some(sealed) = &wanted.configuration {
                let host = Config::read(&self.args.config)?.host();
                match open(&self.key, &host, sealed) {
                    Ok(plain) => files::write(&self.config_of(&release), &plain)?,
                    Err(error) => {
                        let (name, why) = (release.name.clone(), format!("{error:#}"));
                        state.failed = Some(Failed { name, why, rolled_back: false });
                        return self.record(state);
                    }
                }
            }
            state.begin(release.clone());
        }
        state.beginnings += 1;
        self.record(state)?;
        self.report(json!({ "result": "Activating", "of": release.name })).await;
        tracing::info!(release = release.name, image = release.image, "activating");
        match self.hook(&release).await {
            Ok(hooked) => {
                state.hooked = true;
                self.record(state)?;
                self.after(hooked).await;
                Ok(())
            }
            Err(error) => {
                state.give_up(&format!("{error:#}"));
                self.record(state)
            }
        }
    }

    async fn check(&self, state: &mut State, release: &Release) -> Result<()> {
        state.beginnings += 1;
        self.record(state)?;
        let (command, limit) = (self.args.health_command.as_deref(), self.args.health_timeout);
        match hook::healthy(command, limit).await {
            Ok(()) => {
                tracing::info!(release = release.name, "active");
                let before = state.active.clone();
                state.healthy();
                self.record(state)?;
                before
                    .filter(|it| it.name != release.name)
                    .map_or(Ok(()), |before| files::remove(&self.config_of(&before)))
            }
            Err(error) => {
                tracing::warn!(release = release.name, "rolled back: {error:#}");
                state.give_up(&format!("{error:#}"));
                self.record(state)
            }
        }
    }

    async fn roll_back(&self, state: &mut State, release: Option<&Release>) -> Result<()> {
        let tried = state.trying.clone();
        let hooked = match release {
            Some(release) => self.hook(release).await?,
            None => Hooked::Done,
        };
        state.rolled_back();
        self.record(state)?;
        if let Some(tried) = tried {
            files::remove(&self.config_of(&tried))?;
        }
        self.after(hooked).await;
        Ok(())
    }

    /// After the hook has begun a reboot, nothing else is done.
    async fn after(&self, hooked: Hooked) {
        if hooked == Hooked::Rebooting {
            tracing::info!("waiting for the reboot");
            pending::<()>().await;
        }
    }

    async fn hook(&self, release: &Release) -> Result<Hooked> {
        let config = self.config_of(release);
        let config = Some(config.as_path()).filter(|_| release.configured);
        hook::activate(&self.args.hook, release, config, self.args.hook_timeout).await
    }

    /// Says what runs, and how the last activation ended.
    async fn tell(&self, state: &State) {
        let active = state.active.as_ref();
        let mut report = match (&state.failed, active) {
            (Some(failed), _) => {
                let result = if failed.rolled_back { "RolledBack" } else { "Failed" };
                json!({ "result": result, "of": failed.name, "message": failed.why })
            }
            (None, Some(active)) => json!({ "result": "Active", "of": active.name }),
            (None, None) => json!({}),
        };
        if let Some(active) = active {
            report["release"] = json!(active.name);
            report["image"] = json!(active.image);
        }
        self.report(report).await;
    }

    /// Best effort: it is said again with the next turn.
    async fn report(&self, report: Value) {
        if let Err(error) = self.server.report(&self.key, &report).await {
            tracing::warn!("not reported: {error:#}");
        }
    }

    fn state(&self) -> Result<State> {
        State::read(&self.args.state_dir.join("state.json"))
    }

    fn record(&self, state: &State) -> Result<()> {
        state.write(&self.args.state_dir.join("state.json"))
    }

    /// The file with the configuration of a release, whose name is one of Kubernetes and so no path.
    fn config_of(&self, release: &Release) -> PathBuf {
        self.args.state_dir.join(format!("config.{}", release.name.replace('/', "_")))
    }
}

fn described(wanted: &Wanted) -> Release {
    let configured = wanted.configuration.is_some();
    Release { name: wanted.name.clone(), image: wanted.image.clone(), configured }
}
