//! The recorded state: which release runs, and what is being done about another one.

use crate::files;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A release, as far as the hook needs it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Release {
    /// Empty for the system as it was installed.
    pub(crate) name: String,
    /// UID of the object: it differs for each one of this name. Empty if the server does not tell it.
    #[serde(default)]
    pub(crate) uid: String,
    /// Digest of its content; empty if the state was written by a version without it.
    #[serde(default)]
    pub(crate) digest: String,
    pub(crate) image: String,
    /// Whether there is a file with its configuration.
    #[serde(default)]
    pub(crate) configured: bool,
    /// Whether there is a folder with its rendered files.
    #[serde(default)]
    pub(crate) rendered: bool,
}

impl Release {
    /// The system as it was installed. It is no release, but what the first one is rolled back to.
    pub(crate) fn installed(image: String) -> Self {
        Self { image, ..Self::default() }
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.name.is_empty()
    }

    /// Its name for people.
    pub(crate) fn called(&self) -> &str {
        if self.is_installed() { "the system that was installed" } else { &self.name }
    }

    /// Whether it is the release that the server has described in this way. A release that was restored from a
    /// backup has another UID.
    pub(crate) fn is(&self, wanted: &Self) -> bool {
        self.name == wanted.name
            && self.image == wanted.image
            && self.configured == wanted.configured
            && is_same((&self.digest, &self.uid), wanted)
    }
}

/// By what it consists of, or else by its UID.
pub(crate) fn is_same((digest, uid): (&str, &str), wanted: &Release) -> bool {
    if digest.is_empty() { uid == wanted.uid } else { digest == wanted.digest }
}

/// What is recorded.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct State {
    /// The release that was last found healthy.
    #[serde(default)]
    pub(crate) active: Option<Release>,
    /// Number of the boot in which that was found last, or that it is not.
    #[serde(default)]
    pub(crate) boot: String,
    /// Whether the system could not be brought back to it, so that it is unknown what runs.
    #[serde(default)]
    pub(crate) is_lost: bool,
    /// What is being done.
    #[serde(default)]
    pub(crate) work: Option<Work>,
    /// The release that is not to be tried again.
    #[serde(default)]
    pub(crate) failed: Option<Failed>,
    /// Set while the release that ran before a restart runs again, but is not healthy yet.
    #[serde(default)]
    pub(crate) late: Option<Late>,
}

/// A release that the hook has found running, and that did not become healthy in time.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Late {
    /// Number of the boot.
    pub(crate) boot: String,
    /// The failure to report once it is healthy.
    #[serde(default)]
    pub(crate) before: Option<Failed>,
}

/// A release that is being tried.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) release: Release,
    /// If the previous release is being brought back: why.
    #[serde(default)]
    pub(crate) rolls_back: Option<String>,
    pub(crate) phase: Phase,
    /// How many times the hook or the health check has begun, in this direction.
    #[serde(default)]
    pub(crate) begun: u32,
    /// How many restarts the hook has begun in a row.
    #[serde(default)]
    pub(crate) restarts: u32,
    /// Number of the boot in which the hook has finished with it: another boot may run another system.
    #[serde(default)]
    pub(crate) hooked_in: String,
    /// Why it was not brought back the last time.
    #[serde(default)]
    pub(crate) trouble: String,
}

/// The next step.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The hook is to run.
    Hook,
    /// The hook has requested a restart, in the boot with this number.
    Restart(String),
    /// The health is to be checked.
    Check,
}

/// A release that cannot be run.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) digest: String,
    pub(crate) why: String,
    /// Whether the system has run it, and the previous release came back.
    pub(crate) rolled_back: bool,
}

impl State {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        match files::read(path)? {
            Some(text) => serde_json::from_slice(&text).with_context(|| path.display().to_string()),
            None => Ok(Self::default()),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        files::write(path, &serde_json::to_vec_pretty(self)?)
    }

    /// Whether the previous release is being brought back.
    pub(crate) fn rolls_back(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.rolls_back.is_some())
    }

    /// Takes over the UID that a release has now; returns whether it had another one.
    pub(crate) fn renames(&mut self, wanted: &Release) -> bool {
        let active = self.active.as_mut().filter(|it| it.is(wanted)).map(|it| &mut it.uid);
        let failed = self.failed.as_mut().filter(|it| it.is(wanted)).map(|it| &mut it.uid);
        let mut is_changed = false;
        for uid in active.into_iter().chain(failed).filter(|uid| **uid != wanted.uid) {
            uid.clone_from(&wanted.uid);
            is_changed = true;
        }
        is_changed
    }

    /// The releases whose files are needed.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Release> {
        self.active.iter().chain(self.work.iter().map(|work| &work.release))
    }
}
