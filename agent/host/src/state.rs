//! What is recorded: which release runs, and which one is being tried.

use crate::files;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A release, as far as the hook needs it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) image: String,
    /// Whether there is a file with its configuration.
    #[serde(default)]
    pub(crate) configured: bool,
}

/// What is recorded.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct State {
    /// The release that runs, and was healthy.
    #[serde(default)]
    pub(crate) active: Option<Release>,
    /// The release that is being tried.
    #[serde(default)]
    pub(crate) trying: Option<Release>,
    /// How often the hook or the check of its health has begun.
    #[serde(default)]
    pub(crate) beginnings: u32,
    /// Whether the hook is through with it.
    #[serde(default)]
    pub(crate) hooked: bool,
    /// Whether the hook has the release before run again.
    #[serde(default)]
    pub(crate) rolling_back: bool,
    /// The release that is not to be tried again.
    #[serde(default)]
    pub(crate) failed: Option<Failed>,
}

/// A release that cannot be run.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) why: String,
    /// Whether the system has run it, and the one before came back.
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
}
