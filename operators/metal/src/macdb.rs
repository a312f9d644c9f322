//! The MAC prefix database, read again when its file changes.

use metal_core::macdb::{MacDb, ParseError};
use metal_runtime::{jittered, report::Chain};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{fs, time::sleep};

/// How soon a change is seen.
const PERIOD: Duration = Duration::from_secs(5);
/// Largest file that is taken.
const LARGEST: u64 = 16 << 20;

/// The database as it is now; `None` inside where none is configured.
#[derive(Debug, Default)]
pub struct MacPrefixes(RwLock<Option<Arc<MacDb>>>);

/// Why the file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("--mac-prefixes-file {}: not readable", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is larger than any database.
    #[error("--mac-prefixes-file {}: larger than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is no database.
    #[error("--mac-prefixes-file {}: not usable", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: ParseError,
    },
}

impl MacPrefixes {
    /// The database as it is now.
    pub fn current(&self) -> Option<Arc<MacDb>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file for the first time, and returns its text.
    ///
    /// # Errors
    ///
    /// If it is not usable.
    pub async fn load(&self, path: &PathBuf) -> Result<String, Error> {
        let text = read(path).await?;
        self.set(path, &text)?;
        Ok(text)
    }

    /// Reads the file again whenever it changes, for ever, and calls `changed` after each change.
    /// A file that is not usable changes nothing, and is told once.
    pub async fn follow(&self, path: PathBuf, mut text: String, changed: impl Fn()) {
        let mut told = None;
        loop {
            sleep(jittered(PERIOD)).await;
            let result = match read(&path).await {
                Ok(new) if new == text => continue,
                Ok(new) => self.set(&path, &new).map(|()| new),
                Err(error) => Err(error),
            };
            match result {
                Ok(new) => {
                    tracing::info!(path = %path.display(), "MAC prefix database read again");
                    (text, told) = (new, None);
                    changed();
                }
                Err(error) => {
                    let error = Chain(&error).to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(error, "MAC prefix database kept as it was");
                        told = Some(error);
                    }
                }
            }
        }
    }

    fn set(&self, path: &Path, text: &str) -> Result<(), Error> {
        let database = MacDb::parse(text)
            .map_err(|source| Error::Malformed { path: path.to_owned(), source })?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
        Ok(())
    }
}

async fn read(path: &PathBuf) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable { path: path.clone(), source };
    if fs::metadata(path).await.map_err(unreadable)?.len() > LARGEST {
        return Err(Error::TooLarge { path: path.clone() });
    }
    fs::read_to_string(path).await.map_err(unreadable)
}
