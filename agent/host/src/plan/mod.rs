//! What comes next, from what is recorded and what is wanted.
//!
//! ```text
//!            another release     0              healthy
//!   Rest ───────────────────► Hook ───► Check ─────────────► Rest: Active
//!                              │ ▲ 75     │
//!                              │ └─► Restart
//!                       fails  │          │ not in time, or begun ten times
//!                              ▼          ▼
//!                    the same, for the release before ─────► Rest: RolledBack
//!                              │ begun six times
//!                              ▼
//!                    Rest: Failed, and nobody knows what runs
//!
//!          another boot                                           healthy
//!   Rest ───────────────────► Hook, for the release that runs ───► Check ────────► Rest: Active
//!                                                                    │ not in time   ▲
//!                                                                    └───► Rest: Failed, until it is
//! ```
//!
//! After a restart, whoever began it, the hook runs again: it alone knows whether the system that has
//! started is that of the release, or one that the boot loader has fallen back to.
//!
//! What was installed is a release without a name, where the image of the system is known: the first one
//! that fails is rolled back to it. Where nothing is known, one that fails is `Failed`, and what it has done
//! stays. Each beginning is recorded before it is made, so no number of restarts and crashes makes it go on
//! forever.

use crate::state::{Failed, Late, Phase, Release, State, Work, is_same};

/// How often the hook or the check of a release may begin. A release that restarts the machine before it is
/// healthy would do so forever otherwise.
const BEGINNINGS: u32 = 10;
/// The same for the previous release when it is brought back: three times each.
const BACK: u32 = 6;
/// How many restarts a hook may begin in a row, of a machine that others use: one, and another if the
/// power failed before it was through. One more is given up only after it came: what is recorded in the boot
/// that ends would be looked at again in the next one, and the hook restart the machine anew.
const RESTARTS: u32 = 2;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until another release is wanted.
    Rest,
    /// Record that this release is being tried.
    Begin,
    /// The machine has restarted: record that the previous release is to be checked again.
    Confirm,
    /// Run the hook for this release.
    Hook(Release),
    /// Wait for the restart that the hook has requested.
    AwaitRestart,
    /// Wait until this release is healthy.
    Check(Release),
    /// Record that it has begun too often.
    GiveUp,
}

/// The result of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookResult {
    /// The system runs the release.
    Done,
    /// The system will run it after the restart that was requested.
    Restarting,
}

/// Decides what to do next. What has begun is finished first. `boot` identifies the current boot.
pub(crate) fn next(state: &State, wanted: Option<&Release>, boot: &str) -> Step {
    if let Some(work) = &state.work {
        return unfinished(state, work, boot);
    }
    if state.is_unconfirmed(boot) {
        return Step::Confirm;
    }
    let Some(wanted) = wanted else { return Step::Rest };
    let is_active = !state.is_lost && state.active.as_ref().is_some_and(|it| it.is(wanted));
    let has_failed = state.failed.as_ref().is_some_and(|it| it.is(wanted));
    if is_active || has_failed { Step::Rest } else { Step::Begin }
}

fn unfinished(state: &State, work: &Work, boot: &str) -> Step {
    let (most, release) = match (&work.rolls_back, &state.active) {
        (None, _) => (BEGINNINGS, &work.release),
        (Some(_), Some(before)) => (BACK, before),
        (Some(_), None) => return Step::GiveUp,
    };
    match &work.phase {
        Phase::Restart(begun_in) if begun_in == boot => Step::AwaitRestart,
        _ if work.begun >= most || work.restarts > RESTARTS => Step::GiveUp,
        Phase::Check if work.hooked_in == boot => Step::Check(release.clone()),
        Phase::Hook | Phase::Restart(_) | Phase::Check => Step::Hook(release.clone()),
    }
}

impl State {
    /// Whether it is unknown if the release that ran in an earlier boot still runs in this one. A release that
    /// could not be brought back is left to a person.
    fn is_unconfirmed(&self, boot: &str) -> bool {
        let Some(active) = &self.active else { return false };
        let is_tried_again = self.failed.as_ref().is_some_and(|it| it.is(active));
        self.boot != boot && (!self.is_lost || is_tried_again || self.late.is_some())
    }

    /// Whether no release was tried yet: the system is as it was installed, or as a person has changed it.
    pub(crate) fn is_new(&self) -> bool {
        let is_installed = self.active.as_ref().is_none_or(Release::is_installed);
        is_installed && self.work.is_none() && self.failed.is_none()
    }

    /// This image was installed, or nobody knows which.
    pub(crate) fn installed(&mut self, image: Option<String>, boot: &str) {
        self.active = image.map(Release::installed);
        boot.clone_into(&mut self.boot);
    }

    /// Whether the release runs in this boot, and only its health is checked from time to time.
    pub(crate) fn is_late(&self, boot: &str) -> bool {
        self.work.is_none() && self.late.as_ref().is_some_and(|late| late.boot == boot)
    }

    /// Whether this release, while it is tried, may have cut the machine off from the network, and there is
    /// another to return to. A release that ran before, or is brought back, is not judged by whether the server
    /// can be reached.
    pub(crate) fn cuts_off(&self, release: &Release) -> bool {
        self.active.as_ref().is_some_and(|active| !active.is(release))
    }

    /// The late release is healthy now.
    pub(crate) fn recovers(&mut self) {
        if let Some(late) = self.late.take() {
            (self.is_lost, self.failed) = (false, late.before);
        }
    }

    /// The release is being tried; the one that failed before may be tried again later.
    pub(crate) fn begin(&mut self, release: Release) {
        (self.failed, self.late) = (None, None);
        self.work = Some(Work::of(release));
    }

    /// The release that ran before the restart is being checked; that does not allow the failed one another try.
    pub(crate) fn confirm(&mut self) {
        if let Some(late) = self.late.take() {
            self.failed = late.before;
        }
        self.work = self.active.clone().map(Work::of);
    }

    /// The hook, or a check, is about to begin.
    pub(crate) fn begins(&mut self, phase: Phase) {
        if let Some(work) = &mut self.work {
            if phase == Phase::Hook {
                // Which release the system runs is known again when it is finished.
                work.hooked_in.clear();
            }
            (work.phase, work.begun) = (phase, work.begun.saturating_add(1));
        }
    }

    /// The hook has finished.
    pub(crate) fn hooked(&mut self, hooked: HookResult, boot: &str) {
        let Some(work) = &mut self.work else { return };
        match hooked {
            HookResult::Done => {
                (work.phase, work.restarts) = (Phase::Check, 0);
                boot.clone_into(&mut work.hooked_in);
            }
            HookResult::Restarting => {
                work.phase = Phase::Restart(boot.to_owned());
                work.restarts = work.restarts.saturating_add(1);
            }
        }
    }

    /// The restart that the hook has requested did not happen.
    pub(crate) fn not_restarted(&mut self) {
        if let Some(work) = &mut self.work {
            work.phase = Phase::Hook;
        }
    }

    /// The release that was tried, or the previous one, is healthy in this boot.
    pub(crate) fn healthy(&mut self, boot: &str) {
        let Some(work) = self.work.take() else { return };
        self.is_lost = false;
        boot.clone_into(&mut self.boot);
        match work.rolls_back {
            None => {
                self.failed = self.failed.take().filter(|failed| !failed.is(&work.release));
                self.active = Some(work.release);
            }
            Some(why) => self.failed = Some(Failed::of(&work.release, why, true)),
        }
    }

    /// The hook has failed, or it was not healthy in time. The release before is tried again until it
    /// has begun too often.
    pub(crate) fn fails(&mut self, why: &str, boot: &str) {
        let Some(work) = &mut self.work else { return };
        if work.rolls_back.is_some() {
            (work.phase, work.trouble) = (Phase::Hook, why.to_owned());
            return;
        }
        let is_before = |active: &Release| !active.is(&work.release);
        if self.active.as_ref().is_some_and(is_before) {
            work.rolls_back = Some(why.to_owned());
            (work.phase, work.begun, work.restarts) = (Phase::Hook, 0, 0);
            work.hooked_in.clear();
            return;
        }
        // There is nothing to return to. If this release was running before, it no longer does, or not properly.
        self.is_lost = self.active.is_some();
        let is_there = work.is_there(boot);
        let before = self.failed.take().filter(|failed| !failed.is(&work.release));
        let release = work.release.called().to_owned();
        self.late = (self.is_lost && is_there)
            .then(|| Late { boot: boot.to_owned(), before: before.clone() });
        self.end(why.to_owned(), boot);
        // Neither is tried again.
        if let Some(before) = before {
            let why = format!("{}; and {release} does not run after a restart: {why}", before.why);
            self.failed = Some(Failed { why, rolled_back: false, ..before });
        }
    }

    /// It has begun too often.
    pub(crate) fn give_up(&mut self, boot: &str) {
        let Some(work) = &self.work else { return };
        let Some(why) = work.rolls_back.clone() else {
            return self.fails("it was begun again and again, and never found healthy", boot);
        };
        let before = self.active.as_ref().map_or("none", Release::called);
        let told = format!("{why}; and {before} could not be brought back: {}", work.trouble());
        // It may run, and only need more time to become healthy.
        let rolled_back = Some(Failed::of(&work.release, why, true));
        self.late =
            work.is_there(boot).then(|| Late { boot: boot.to_owned(), before: rolled_back });
        self.is_lost = true;
        self.end(told, boot);
    }

    fn end(&mut self, why: String, boot: &str) {
        boot.clone_into(&mut self.boot);
        if let Some(work) = self.work.take() {
            self.failed = Some(Failed::of(&work.release, why, false));
        }
    }
}

impl Work {
    fn of(release: Release) -> Self {
        let (rolls_back, trouble, hooked_in) = (None, String::new(), String::new());
        let (begun, restarts) = (0, 0);
        Self { release, rolls_back, phase: Phase::Hook, begun, restarts, trouble, hooked_in }
    }

    /// Whether the hook has finished in this boot: the release runs, healthy or not.
    fn is_there(&self, boot: &str) -> bool {
        self.hooked_in == boot
    }

    /// Why it was not brought back.
    fn trouble(&self) -> &str {
        let is_told = !self.trouble.is_empty();
        if is_told { &self.trouble } else { "no restart has led to it" }
    }
}

impl Failed {
    /// This release is not to be tried again.
    pub(crate) fn of(release: &Release, why: String, rolled_back: bool) -> Self {
        let Release { name, uid, digest, .. } = release.clone();
        Self { name, uid, digest, why, rolled_back }
    }

    /// Whether it is the release that the server has described in this way.
    pub(crate) fn is(&self, wanted: &Release) -> bool {
        self.name == wanted.name && is_same((&self.digest, &self.uid), wanted)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
