//! What comes next, from what is recorded and what is wanted.
//!
//! ```text
//!           another release                hook: 0, or the system has restarted
//!  Rest ───────────────────► Activate ─────────────────────────────────────────► Check
//!    ▲                          │ hook failed                    healthy │  │ not in time
//!    │                          ▼                                        │  ▼
//!    └────────────────────── RollBack ◄──────────────────────────────────┼──┘
//!    ▲                                                                   │
//!    └───────────────────────────────────────────────────────────────────┘
//! ```

use crate::state::{Failed, Release, State};

/// How often it may have begun with a release. A release that restarts the machine before it is found
/// healthy would otherwise do so for ever.
const BEGINNINGS: u32 = 10;

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing, until something else is wanted.
    Rest,
    /// Record this release as being tried, and run the hook.
    Activate(Release),
    /// Wait until the release that is being tried is healthy.
    Check(Release),
    /// Note that the release that is being tried never gets through.
    GiveUp,
    /// Run the hook for the release before.
    RollBack(Option<Release>),
}

/// Decides what comes next. What has begun is finished first.
pub(crate) fn next(state: &State, wanted: Option<&Release>) -> Step {
    if let Some(trying) = &state.trying {
        if state.rolling_back {
            return Step::RollBack(state.active.clone());
        }
        if state.beginnings >= BEGINNINGS {
            return Step::GiveUp;
        }
        return if state.hooked {
            Step::Check(trying.clone())
        } else {
            Step::Activate(trying.clone())
        };
    }
    match wanted {
        Some(wanted) if state.active.as_ref() == Some(wanted) => Step::Rest,
        Some(wanted) if state.failed.as_ref().is_some_and(|it| it.name == wanted.name) => {
            Step::Rest
        }
        Some(wanted) => Step::Activate(wanted.clone()),
        None => Step::Rest,
    }
}

impl State {
    /// The release is being tried; another one may be tried again after it.
    pub(crate) fn begin(&mut self, release: Release) {
        self.failed = None;
        self.trying = Some(release);
        self.beginnings = 0;
        (self.hooked, self.rolling_back) = (false, false);
    }

    /// The release that was tried is healthy.
    pub(crate) fn healthy(&mut self) {
        self.active = self.trying.take().or(self.active.take());
        (self.hooked, self.rolling_back) = (false, false);
    }

    /// The release that was tried is not to be tried again; the one before comes back.
    pub(crate) fn give_up(&mut self, why: &str) {
        let rolled_back = self.active.is_some();
        self.failed = self.trying.as_ref().map(|release| Failed {
            name: release.name.clone(),
            why: why.to_owned(),
            rolled_back,
        });
        (self.hooked, self.rolling_back) = (false, true);
    }

    /// The release before runs again.
    pub(crate) fn rolled_back(&mut self) {
        self.trying = None;
        (self.hooked, self.rolling_back) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_tried_checked_and_kept() {
        let mut state = State::default();
        assert_eq!(next(&state, None), Step::Rest);
        assert_eq!(next(&state, Some(&release("v1"))), Step::Activate(release("v1")));
        state.begin(release("v1"));
        // The agent was killed: the hook may or may not have run, and runs again.
        assert_eq!(next(&state, Some(&release("v2"))), Step::Activate(release("v1")));
        state.hooked = true;
        assert_eq!(next(&state, Some(&release("v2"))), Step::Check(release("v1")));
        state.healthy();
        assert_eq!(next(&state, Some(&release("v1"))), Step::Rest);
        assert_eq!(next(&state, None), Step::Rest, "nothing is taken away");
        assert_eq!(next(&state, Some(&release("v2"))), Step::Activate(release("v2")));
    }

    #[test]
    fn a_release_that_is_not_healthy_is_not_tried_again_until_another_was() {
        let mut state = State { active: Some(release("v1")), ..State::default() };
        state.begin(release("v2"));
        state.hooked = true;
        state.give_up("not healthy");
        assert_eq!(next(&state, Some(&release("v2"))), Step::RollBack(Some(release("v1"))));
        state.rolled_back();
        assert_eq!(next(&state, Some(&release("v2"))), Step::Rest);
        assert_eq!(next(&state, Some(&release("v3"))), Step::Activate(release("v3")));
        assert_eq!(next(&state, Some(&release("v1"))), Step::Rest);
        state.begin(release("v3"));
        state.healthy();
        assert_eq!(next(&state, Some(&release("v2"))), Step::Activate(release("v2")));
    }

    #[test]
    fn a_release_that_restarts_the_machine_again_and_again_is_given_up() {
        let mut state = State { active: Some(release("v1")), ..State::default() };
        state.begin(release("v2"));
        let mut begun = 0;
        while let Step::Activate(_) | Step::Check(_) = next(&state, None) {
            state.beginnings += 1;
            begun += 1;
            state.hooked = begun > 2;
        }
        assert_eq!((begun, next(&state, None)), (BEGINNINGS, Step::GiveUp));
        state.give_up("never through");
        assert_eq!(next(&state, None), Step::RollBack(Some(release("v1"))));
        state.rolled_back();
        state.begin(release("v3"));
        assert_eq!(next(&state, None), Step::Activate(release("v3")), "it is counted anew");
    }

    fn release(name: &str) -> Release {
        Release { name: name.to_owned(), image: format!("image-{name}"), configured: false }
    }
}
