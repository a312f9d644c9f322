//! The loop: register, wait for a release, try it, report.

use crate::{
    args::Args,
    attest::prove,
    bootc,
    client::{Known, LATER, Server, Wanted},
    config::Config,
    decrypt::Refused,
    files, hook,
    key::Key,
    plan::{Step, next},
    prepare::{Prepared, content, described},
    state::{Failed, Phase, Release, State},
};
use anyhow::{Context, Result};
use metal_base::{Backoff, cut, jittered};
use serde_json::{Value, json};
use std::{
    cell::{Cell, RefCell},
    fs::{self, File},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// Pauses after something has failed.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(5);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest message, in bytes.
const MESSAGE: usize = 2048;

/// The agent of this machine.
#[derive(Debug)]
pub struct Agent {
    args: Args,
    server: Server,
    key: Key,
    prepared: Prepared,
    /// Number of this boot.
    boot: String,
    /// When the health of a release that is late was looked at.
    looked: Cell<Option<Instant>>,
    /// Why files of another release were left last, as the log says already.
    unswept: RefCell<Option<String>>,
    /// No other agent runs with this state: each would end what the other asks for, and run the hook beside it.
    _lock: File,
}

impl Agent {
    /// Reads what is there, and makes the key if there is none.
    ///
    /// # Errors
    ///
    /// If the configuration or the key cannot be used, or another agent runs with this state.
    pub async fn new(args: Args) -> Result<Self> {
        let config = Config::read(&args.config)?;
        files::folder(&args.state_dir)?;
        let lock = files::lock(&args.state_dir)?;
        let key =
            Key::load(&args.state_dir, args.key, &args.tpm, config.credential.is_some()).await?;
        let server = Server::new(&config, args.ca_file.as_deref())?;
        let prepared = Prepared::new(&args.state_dir);
        let boot = fs::read_to_string(&args.boot_id).context("the number of this boot")?;
        let (boot, looked) = (boot.trim().to_owned(), Cell::new(None));
        let unswept = RefCell::default();
        Ok(Self { args, server, key, prepared, boot, looked, unswept, _lock: lock })
    }

    /// Runs forever.
    ///
    /// # Errors
    ///
    /// If what has to be recorded cannot be.
    pub async fn run(&self) -> Result<()> {
        self.register().await?;
        let (mut backoff, mut known) = (Backoff::new(FIRST, LONGEST), None);
        // Held here as well: where the disk is full, what cannot be recorded still ends.
        let mut state = State::read(&self.args.state_dir.join("state.json"))?;
        self.find_installed(&mut state).await;
        loop {
            match self.turn(&mut state, &mut known).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "tried again later");
                    sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Before the first release, what runs was installed, and is what that one is rolled back to.
    async fn find_installed(&self, state: &mut State) {
        if !state.is_new() {
            return;
        }
        let image = match &self.args.image_command {
            None => bootc::booted().await,
            Some(program) => bootc::told_by(program)
                .await
                .inspect_err(|error| {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the image that runs is not known"
                    );
                })
                .ok(),
        };
        state.installed(image, &self.boot);
        if let Err(error) = self.record(state) {
            tracing::warn!(error = format!("{error:#}"), "not recorded");
        }
    }

    /// Registers until it is taken: what was refused once may be a token that is renewed.
    async fn register(&self) -> Result<()> {
        let mut config = Config::read(&self.args.config)?;
        let Some(credential) = config.credential.clone() else { return Ok(()) };
        let mut backoff = Backoff::new(FIRST, LONGEST);
        while let Err(error) = self.try_register(&credential, config.tpm).await {
            // It may have been registered, and not have heard it before its token was over.
            if self.server.release(&self.key, None).await.is_ok() {
                break;
            }
            tracing::warn!(error = format!("{error:#}"), "not registered");
            sleep(backoff.pause()).await;
        }
        tracing::info!(host = config.host(), "registered");
        // With the next start it is registered again, and gets the same answer.
        if let Err(error) = config.registered(&self.args.config) {
            tracing::warn!(error = format!("{error:#}"), "the credential is not removed");
        }
        Ok(())
    }

    async fn try_register(&self, credential: &str, is_bound: bool) -> Result<()> {
        let proof = if is_bound {
            let tpm = (&self.args.tpm, self.args.endorsement_key.template());
            Some(prove(&self.server, &self.key, credential, tpm).await?)
        } else {
            None
        };
        self.server.register(&self.key, credential, proof.as_deref()).await
    }

    /// A disk that does not let go of files keeps no Host from being told, and from saying how it is.
    fn sweep(&self, state: &State) {
        let error = self.prepared.sweep(state.kept()).err().map(|error| format!("{error:#}"));
        let told = self.unswept.replace(error.clone());
        if let Some(error) = error.filter(|error| told.as_ref() != Some(error)) {
            tracing::warn!(error, "files of another release are left");
        }
    }

    /// Finishes what has begun, or waits for another release than the one that is `known`.
    async fn turn(&self, state: &mut State, known: &mut Option<Known>) -> Result<()> {
        let (mut wanted, mut step) = (None, next(state, None, &self.boot));
        if step == Step::Rest {
            self.sweep(state);
            self.tell(state).await;
            wanted = self.server.await_release(&self.key, known).await?;
            step = next(state, wanted.as_ref().map(described).as_ref(), &self.boot);
        }
        let release = wanted.as_ref().map(described);
        let done = match step {
            Step::Rest => self.rest(state, release.as_ref()).await,
            Step::Begin => self.begin(state, wanted).await,
            Step::Confirm => {
                state.confirm();
                self.record(state)
            }
            Step::Hook(release) => self.run_hook(state, &release).await,
            Step::AwaitRestart => self.await_restart(state).await,
            Step::Check(release) => self.check(state, &release).await,
            Step::GiveUp => {
                state.give_up(&self.boot);
                self.record(state)
            }
        };
        // What could not be delivered is to be reported again.
        done.inspect_err(|_| *known = None)
    }

    /// Nothing is to be done; what failed is forgotten once it is no longer wanted.
    async fn rest(&self, state: &mut State, wanted: Option<&Release>) -> Result<()> {
        let mut is_changed = wanted.is_some_and(|wanted| state.renames(wanted));
        let is_active = |wanted| state.active.as_ref().is_some_and(|it| it.is(wanted));
        if state.failed.is_some() && !state.is_lost && wanted.is_some_and(is_active) {
            state.failed = None;
            is_changed = true;
        }
        if is_changed {
            self.record(state)?;
        }
        self.look_again(state).await?;
        // A server that answers at once is not asked again at once.
        sleep(jittered(PAUSE)).await;
        Ok(())
    }

    /// Looks at the health of a release that was ill after a restart, for which nothing else is to be done.
    async fn look_again(&self, state: &mut State) -> Result<()> {
        let is_due = || self.looked.get().is_none_or(|at| at.elapsed() >= self.args.recheck);
        if !state.is_late(&self.boot) || !is_due() {
            return Ok(());
        }
        let (command, limit) = (self.args.health_command.as_deref(), self.args.health_timeout);
        let looked = hook::is_healthy(command, &self.prepared.why(), limit).await;
        // From its end, so that one which hangs leaves time for the server.
        self.looked.set(Some(Instant::now()));
        if looked.is_err() {
            return Ok(());
        }
        tracing::info!("healthy at last");
        state.recovers();
        self.record(state)
    }

    /// The release before is not touched before the configuration of this one was found to fit. A disk
    /// that does not take it now may later, and so may a TPM that does not answer.
    async fn begin(&self, state: &mut State, wanted: Option<Wanted>) -> Result<()> {
        let Some(wanted) = wanted else { return Ok(()) };
        let host = Config::read(&self.args.config)?.host();
        let release = described(&wanted);
        let written = match content(&wanted, &self.key, &host).await {
            Ok(content) => self.prepared.write(release, content),
            Err(Refused::Key(error)) => Err(error),
            Err(Refused::Configuration(error)) => {
                let why = format!("{error:#}");
                tracing::warn!(release = wanted.name, error = why, "cannot be run");
                state.failed = Some(Failed::of(&release, why, false));
                return self.record(state);
            }
        };
        match written {
            Ok(release) => {
                state.begin(release);
                self.record(state)
            }
            Err(error) => {
                let why = format!("not begun yet: {error:#}");
                let (of, uid, why) = (wanted.name, wanted.uid, cut(&why, MESSAGE));
                let said =
                    json!({ "result": "Activating", "of": of, "ofUID": uid, "message": why });
                self.report(said).await;
                Err(error.context("the configuration cannot be decrypted and written"))
            }
        }
    }

    async fn run_hook(&self, state: &mut State, release: &Release) -> Result<()> {
        state.begins(Phase::Hook);
        if let Err(error) = self.begun(state) {
            return self.ended(state, release, Err::<(), _>(error), |_, ()| ()).await;
        }
        self.say(state).await;
        tracing::info!(release = release.name, image = release.image, "activating");
        let (hook, limit) = (&self.args.hook, self.args.hook_timeout);
        let hooked = hook::activate(hook, release, &self.prepared, limit).await;
        self.ended(state, release, hooked, |state, hooked| state.hooked(hooked, &self.boot)).await
    }

    /// After the hook has begun a restart, nothing else is done; it may never come.
    async fn await_restart(&self, state: &mut State) -> Result<()> {
        tracing::info!("waiting for the restart");
        sleep(self.args.restart_timeout).await;
        tracing::warn!("the hook requested a restart, but the machine did not restart");
        state.not_restarted();
        self.record(state)
    }

    async fn check(&self, state: &mut State, release: &Release) -> Result<()> {
        state.begins(Phase::Check);
        let checked = match self.begun(state) {
            Ok(()) => self.is_healthy(state.cuts_off(release)).await,
            Err(error) => Err(error),
        };
        self.looked.set(Some(Instant::now()));
        self.ended(state, release, checked, |state, ()| state.healthy(&self.boot)).await
    }

    /// Whether the system is healthy; and that it reaches the server, if the release may have cut it off.
    async fn is_healthy(&self, may_be_cut_off: bool) -> Result<()> {
        let (command, limit) = (self.args.health_command.as_deref(), self.args.health_timeout);
        hook::healthy(command, &self.prepared.why(), limit).await?;
        let limit = self.args.server_timeout;
        if !may_be_cut_off || limit.is_zero() {
            return Ok(());
        }
        let answered = timeout(limit, async {
            while let Err(error) = self.server.answers().await {
                tracing::warn!(error = format!("{error:#}"), "the server does not answer");
                sleep(LATER).await;
            }
        });
        answered.await.with_context(|| format!("the server was not reached within {limit:?}"))
    }

    /// Records that something begins. A release with which that cannot be recorded is not healthy; the
    /// one before is brought back all the same.
    fn begun(&self, state: &State) -> Result<()> {
        let recorded = self.record(state);
        match recorded {
            Err(error) if state.rolls_back() => {
                tracing::warn!(error = format!("{error:#}"), "not recorded");
                Ok(())
            }
            recorded => recorded.context("nothing can be recorded"),
        }
    }

    /// Records how a step has ended. What is brought back is tried again after a pause.
    async fn ended<T>(
        &self,
        state: &mut State,
        release: &Release,
        result: Result<T>,
        done: impl FnOnce(&mut State, T),
    ) -> Result<()> {
        match result {
            Ok(it) => {
                done(state, it);
                self.record(state)
            }
            Err(error) => {
                tracing::warn!(release = release.name, error = format!("{error:#}"), "not run");
                let is_back = state.rolls_back();
                state.fails(&format!("{error:#}"), &self.boot);
                let recorded = self.record(state);
                if is_back {
                    sleep(jittered(self.args.rollback_pause)).await;
                }
                recorded
            }
        }
    }

    /// Says what is being done.
    async fn say(&self, state: &State) {
        let Some(work) = &state.work else { return };
        let Release { name, uid, .. } = &work.release;
        let mut report = json!({ "result": "Activating", "of": name, "ofUID": uid });
        if let Some(why) = &work.rolls_back {
            let why = format!("the release before is brought back: {why} {}", work.trouble);
            report["message"] = json!(cut(why.trim(), MESSAGE));
        }
        self.report(report).await;
    }

    /// Says what runs, and how the last activation ended.
    async fn tell(&self, state: &State) {
        self.report(self.told(state)).await;
    }

    fn told(&self, state: &State) -> Value {
        let is_known = !state.is_lost || state.is_late(&self.boot);
        let active = state.active.as_ref().filter(|_| is_known);
        let mut report = match (&state.failed, active) {
            (Some(failed), _) => {
                let result = if failed.rolled_back { "RolledBack" } else { "Failed" };
                let (of, message) = (&failed.name, cut(&failed.why, MESSAGE));
                json!({ "result": result, "of": of, "ofUID": failed.uid, "message": message })
            }
            (None, Some(active)) if !active.is_installed() => {
                json!({ "result": "Active", "of": active.name, "ofUID": active.uid })
            }
            (None, _) => json!({}),
        };
        if let Some(active) = active {
            report["image"] = json!(active.image);
            if !active.is_installed() {
                report["release"] = json!(active.name);
            }
        }
        report
    }

    /// Best effort: it is reported again with the next turn.
    async fn report(&self, report: Value) {
        if let Err(error) = self.server.report(&self.key, &report).await {
            tracing::warn!(error = format!("{error:#}"), "not reported");
        }
    }

    fn record(&self, state: &State) -> Result<()> {
        state.write(&self.args.state_dir.join("state.json"))
    }
}

#[cfg(test)]
mod tests;
