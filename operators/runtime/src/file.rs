//! Files that are read again when they change.

use crate::{jittered, report::Chain};
use std::{
    convert::Infallible,
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{fs, sync::watch, time::sleep};

/// How often files are checked for changes. Polling is cheap, and also works for mounted
/// `ConfigMap`s and `Secret`s, which change when a symbolic link is replaced.
const PERIOD: Duration = Duration::from_secs(2);
/// Largest file that is read.
const LARGEST: u64 = 16 << 20;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or cannot be accessed.
    #[error("{flag} {}: could not be read", path.display())]
    Unreadable {
        /// The flag that names it.
        flag: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large to be what it should be.
    #[error("{flag} {}: larger than 16 MiB", path.display())]
    TooLarge {
        /// The flag that names it.
        flag: &'static str,
        /// Its path.
        path: PathBuf,
    },
    /// Its content cannot be used.
    #[error("{flag} {}: invalid", path.display())]
    Unusable {
        /// The flag that names it.
        flag: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// The outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is in effect.
    Taken,
    /// It cannot be used.
    Refused,
}

/// Something that can be read again.
pub trait Reread {
    /// Why it is refused.
    type Error: StdError;

    /// Reads it again, adopts what it reads, and returns whether there was a change.
    fn read_again(&mut self) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}

/// Reads what `flag` names again and again, forever. `told` is called for every change. Content
/// that cannot be used changes nothing, and is reported once.
pub async fn reread(flag: &'static str, mut it: impl Reread, told: impl Fn(Reading)) -> Infallible {
    let mut reported = None;
    loop {
        sleep(jittered(PERIOD)).await;
        match it.read_again().await {
            Ok(false) => reported = None,
            Ok(true) => {
                tracing::info!(flag, "file reloaded");
                reported = None;
                told(Reading::Taken);
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                if reported.as_ref() != Some(&error) {
                    tracing::error!(error, "invalid file; its previous content stays in effect");
                    reported = Some(error);
                    told(Reading::Refused);
                }
            }
        }
    }
}

/// Reads a whole file, unless it is too large for what `flag` names.
///
/// # Errors
///
/// If it is, or cannot be read.
pub async fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { flag, path: path.to_owned(), source };
    if fs::metadata(path).await.map_err(unreadable)?.len() > LARGEST {
        return Err(Error::TooLarge { flag, path: path.to_owned() });
    }
    fs::read(path).await.map_err(unreadable)
}

/// Reads the text of a file.
type Parser<T, E> = Box<dyn Fn(&str) -> Result<T, E> + Send + Sync>;

/// A file and its parser.
pub struct Followed<T, E> {
    flag: &'static str,
    path: PathBuf,
    parse: Parser<T, E>,
    text: String,
    current: watch::Sender<Arc<T>>,
}

impl<T, E: StdError + Send + Sync + 'static> Followed<T, E> {
    /// Reads the file that `flag` names for the first time.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
    pub async fn open(
        flag: &'static str,
        path: &Path,
        parse: impl Fn(&str) -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let text = text(flag, path).await?;
        let value = parse(&text).map_err(|error| unusable(flag, path, error))?;
        let current = watch::Sender::new(Arc::new(value));
        Ok(Self { flag, path: path.to_owned(), parse: Box::new(parse), text, current })
    }

    /// The content of the file, now and after each change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Reads the file again whenever it changes, forever. `told` is called for every change. A
    /// file that cannot be used changes nothing, and is reported once.
    pub async fn follow(self, told: impl Fn(Reading)) -> Infallible
    where
        T: Send + Sync,
    {
        reread(self.flag, self, told).await
    }
}

impl<T: Send + Sync, E: StdError + Send + Sync + 'static> Reread for Followed<T, E> {
    type Error = Error;

    async fn read_again(&mut self) -> Result<bool, Error> {
        let text = text(self.flag, &self.path).await?;
        if text == self.text {
            return Ok(false);
        }
        let parsed = (self.parse)(&text);
        let value = parsed.map_err(|error| unusable(self.flag, &self.path, error))?;
        self.text = text;
        self.current.send_replace(Arc::new(value));
        Ok(true)
    }
}

/// Reads a file as text.
async fn text(flag: &'static str, path: &Path) -> Result<String, Error> {
    String::from_utf8(read(flag, path).await?).map_err(|error| unusable(flag, path, error))
}

fn unusable(
    flag: &'static str,
    path: &Path,
    error: impl StdError + Send + Sync + 'static,
) -> Error {
    Error::Unusable { flag, path: path.to_owned(), source: Box::new(error) }
}

impl<T, E> fmt::Debug for Followed<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Followed")
            .field("flag", &self.flag)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{num::ParseIntError, sync::Mutex};

    #[tokio::test(start_paused = true)]
    async fn a_change_is_taken_and_a_mistake_is_reported_once_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let file = Followed::open("--number", &path, number).await.unwrap();
        let mut current = file.subscribe();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let follow = tokio::spawn(file.follow(move |reading| tell.lock().unwrap().push(reading)));

        put(&path, "one");
        until_told(&told, 1).await;
        sleep(3 * PERIOD).await;
        assert_eq!(*told.lock().unwrap(), [Reading::Refused]);
        assert_eq!(**current.borrow(), 1);

        put(&path, "2");
        tokio::time::timeout(100 * PERIOD, current.changed()).await.unwrap().unwrap();
        assert_eq!(**current.borrow_and_update(), 2);

        std::fs::remove_file(&path).unwrap();
        until_told(&told, 3).await;
        assert_eq!(*told.lock().unwrap(), [Reading::Refused, Reading::Taken, Reading::Refused]);
        follow.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_mistake_that_comes_back_is_reported_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let file = Followed::open("--number", &path, number).await.unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let follow = tokio::spawn(file.follow(move |reading| tell.lock().unwrap().push(reading)));
        for times in 1..=2 {
            put(&path, "one");
            until_told(&told, times).await;
            put(&path, "1");
            sleep(3 * PERIOD).await;
        }
        assert_eq!(*told.lock().unwrap(), [Reading::Refused; 2]);
        follow.abort();
    }

    /// Puts another file in the place of this one, as it may just be read.
    fn put(path: &Path, text: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    async fn until_told(told: &Mutex<Vec<Reading>>, count: usize) {
        for _ in 0..100 {
            if told.lock().unwrap().len() >= count {
                return;
            }
            sleep(PERIOD).await;
        }
        panic!("not told {count} times");
    }

    #[tokio::test]
    async fn what_is_wrong_at_the_start_names_flag_and_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let open = || Followed::open("--number", &path, number);
        let text = |error: Error| Chain(&error).to_string();
        let start = format!("--number {}: ", path.display());
        let missing = text(open().await.unwrap_err());
        assert!(missing.starts_with(&format!("{start}could not be read: ")), "{missing}");
        for wrong in [&b"one"[..], b"\xff"] {
            std::fs::write(&path, wrong).unwrap();
            let wrong = text(open().await.unwrap_err());
            assert!(wrong.starts_with(&format!("{start}invalid: invalid ")), "{wrong}");
        }
        std::fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(text(open().await.unwrap_err()).ends_with("larger than 16 MiB"));
    }

    fn number(text: &str) -> Result<u32, ParseIntError> {
        text.parse()
    }
}
