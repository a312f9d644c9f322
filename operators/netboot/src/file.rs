//! A file that is read again when it changes.

use metal_runtime::{jittered, report::Chain};
use std::{
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{fs, sync::watch, time::sleep};

/// How soon a change is seen. Asking is cheap, and works where a mounted `ConfigMap` changes by
/// the swap of a symbolic link.
const PERIOD: Duration = Duration::from_secs(2);
/// Largest file that is taken.
const LARGEST: u64 = 16 << 20;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[error("{flag} {}: {problem}", path.display())]
pub struct Error {
    flag: &'static str,
    path: PathBuf,
    problem: Problem,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
enum Problem {
    #[strum(to_string = "not readable")]
    Unreadable,
    #[strum(to_string = "larger than 16 MiB")]
    TooLarge,
    #[strum(to_string = "not usable")]
    Unusable,
}

/// A file, and how it is understood.
pub struct Followed<T, E> {
    flag: &'static str,
    path: PathBuf,
    parse: fn(&str) -> Result<T, E>,
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
        parse: fn(&str) -> Result<T, E>,
    ) -> Result<Self, Error> {
        let text = read(flag, path).await?;
        let value = understand(flag, path, parse, &text)?;
        let current = watch::Sender::new(Arc::new(value));
        Ok(Self { flag, path: path.to_owned(), parse, text, current })
    }

    /// What the file says, now and from now on.
    pub fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Reads the file again whenever it changes, for ever. `told` hears of every change. A file
    /// that cannot be used changes nothing, and is reported once.
    pub async fn follow(mut self, told: impl Fn(Reading)) {
        let mut reported = None;
        loop {
            sleep(jittered(PERIOD)).await;
            match self.read_again().await {
                Ok(false) => reported = None,
                Ok(true) => {
                    tracing::info!(flag = self.flag, path = %self.path.display(), "file read again");
                    reported = None;
                    told(Reading::Taken);
                }
                Err(error) => {
                    let error = Chain(&error).to_string();
                    if reported.as_ref() != Some(&error) {
                        tracing::error!(
                            error,
                            "file not taken; what it said before stays in force"
                        );
                        reported = Some(error);
                        told(Reading::Refused);
                    }
                }
            }
        }
    }

    /// Whether there was a change.
    async fn read_again(&mut self) -> Result<bool, Error> {
        let text = read(self.flag, &self.path).await?;
        if text == self.text {
            return Ok(false);
        }
        let value = understand(self.flag, &self.path, self.parse, &text)?;
        self.text = text;
        self.current.send_replace(Arc::new(value));
        Ok(true)
    }
}

/// What became of a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is in force.
    Taken,
    /// It cannot be used.
    Refused,
}

async fn read(flag: &'static str, path: &Path) -> Result<String, Error> {
    let fail = |problem, source: Option<io::Error>| {
        let source = source.map(Into::into);
        Error { flag, path: path.to_owned(), problem, source }
    };
    let unreadable = |source| fail(Problem::Unreadable, Some(source));
    if fs::metadata(path).await.map_err(unreadable)?.len() > LARGEST {
        return Err(fail(Problem::TooLarge, None));
    }
    fs::read_to_string(path).await.map_err(unreadable)
}

fn understand<T, E: StdError + Send + Sync + 'static>(
    flag: &'static str,
    path: &Path,
    parse: fn(&str) -> Result<T, E>,
    text: &str,
) -> Result<T, Error> {
    parse(text).map_err(|error| Error {
        flag,
        path: path.to_owned(),
        problem: Problem::Unusable,
        source: Some(error.into()),
    })
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
    use metal_core::dhcp::Config;
    use std::sync::Mutex;

    const GOOD: &str = "interfaces: [eth1]\nsubnets: []\n";

    #[tokio::test(start_paused = true)]
    async fn a_change_is_taken_and_a_mistake_is_reported_once_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netboot.yaml");
        std::fs::write(&path, GOOD).unwrap();
        let file = Followed::open("--config", &path, Config::parse).await.unwrap();
        let mut current = file.subscribe();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let follow = tokio::spawn(file.follow(move |reading| tell.lock().unwrap().push(reading)));

        std::fs::write(&path, "interfaces: [eth1]\nsubnets: no\n").unwrap();
        until_told(&told, 1).await;
        sleep(3 * PERIOD).await;
        assert_eq!(*told.lock().unwrap(), [Reading::Refused]);
        assert_eq!(current.borrow().interfaces, ["eth1"]);

        std::fs::write(&path, GOOD.replace("eth1", "eth2")).unwrap();
        tokio::time::timeout(100 * PERIOD, current.changed()).await.unwrap().unwrap();
        assert_eq!(current.borrow_and_update().interfaces, ["eth2"]);

        std::fs::remove_file(&path).unwrap();
        until_told(&told, 3).await;
        assert_eq!(*told.lock().unwrap(), [Reading::Refused, Reading::Taken, Reading::Refused]);
        follow.abort();
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
    async fn what_is_wrong_at_the_start_names_flag_path_and_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netboot.yaml");
        let open = || Followed::open("--config", &path, Config::parse);
        let text = |error: Error| Chain(&error).to_string();
        let missing = text(open().await.unwrap_err());
        let start = format!("--config {}: not readable: ", path.display());
        assert!(missing.starts_with(&start), "{missing}");
        std::fs::write(&path, GOOD.replace("[]", "[{ subnet: 10.0.0.1/8 }]")).unwrap();
        let wrong = text(open().await.unwrap_err());
        assert!(wrong.contains("not usable: line 2: subnets.subnet: `10.0.0.1/8`"), "{wrong}");
        std::fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
        assert!(text(open().await.unwrap_err()).ends_with("larger than 16 MiB"));
    }
}
