//! The authorities of TPM makers, which are read again when their files change.

use crate::args::Args;
use metal_attest::{Roots, RootsError};
use metal_runtime::file::{self, Error, Reread};
use std::{
    convert::Infallible,
    future::pending,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{fs, sync::watch};

const FLAG: &str = "--ek-roots-path";
/// Maximum number of files in a folder.
const MAX_FILES: usize = 1024;

/// A file or a folder, and the certificates in it.
#[derive(Debug)]
pub(crate) struct EkRoots {
    path: PathBuf,
    /// What was read last, by file.
    files: Vec<(PathBuf, Vec<u8>)>,
    current: watch::Sender<Arc<Roots>>,
}

impl EkRoots {
    /// Reads what the flag names for the first time; nothing, if it is not set.
    ///
    /// # Errors
    ///
    /// If it cannot be used.
    pub(crate) async fn open(args: &Args) -> Result<Option<Self>, Error> {
        let Some(path) = &args.ek_roots_path else { return Ok(None) };
        let files = read(path).await?;
        let current = watch::Sender::new(Arc::new(parse(path, &files)?));
        Ok(Some(Self { path: path.clone(), files, current }))
    }

    /// The certificates, now and after each change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Roots>> {
        self.current.subscribe()
    }

    /// Reads them again forever. What cannot be used changes nothing, and is reported once.
    pub(crate) async fn follow(roots: Option<Self>) -> Infallible {
        match roots {
            Some(roots) => file::reread(FLAG, roots, |_| {}).await,
            None => pending().await,
        }
    }
}

impl Reread for EkRoots {
    type Error = Error;

    async fn read_again(&mut self) -> Result<bool, Error> {
        let files = read(&self.path).await?;
        if files == self.files {
            return Ok(false);
        }
        self.current.send_replace(Arc::new(parse(&self.path, &files)?));
        self.files = files;
        Ok(true)
    }
}

/// The file, or those in the folder, by name.
async fn read(path: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Error> {
    let mut files = vec![];
    for path in paths(path).await? {
        let content = file::read(FLAG, &path).await?;
        files.push((path, content));
    }
    Ok(files)
}

async fn paths(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Unreadable { flag: FLAG, path: path.to_owned(), source };
    if !fs::metadata(path).await.map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut folder, mut paths) = (fs::read_dir(path).await.map_err(unreadable)?, vec![]);
    while let Some(entry) = folder.next_entry().await.map_err(unreadable)? {
        let path = entry.path();
        let is_meant = path.extension().is_some_and(|it| it == "pem" || it == "crt");
        if is_meant && paths.len() == MAX_FILES {
            let many = io::Error::other(format!("more than {MAX_FILES} files"));
            return Err(unreadable(many));
        }
        paths.extend(is_meant.then_some(path));
    }
    paths.sort();
    Ok(paths)
}

fn parse(path: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<Roots, Error> {
    let unusable = |path: &Path, error| Error::Unusable {
        flag: FLAG,
        path: path.to_owned(),
        source: Box::<RootsError>::new(error),
    };
    let mut roots = Roots::default();
    for (path, content) in files {
        roots.add(content).map_err(|error| unusable(path, error))?;
    }
    if files.is_empty() { Err(unusable(path, RootsError::Empty)) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_attest::testing::Maker;
    use metal_runtime::report::Chain;

    #[tokio::test]
    async fn the_files_of_a_folder_count_together_and_are_read_again() {
        let (maker, folder) = (Maker::new(), tempfile::tempdir().unwrap());
        maker.tpm();
        let copy = |from: PathBuf, to: &str| std::fs::copy(from, folder.path().join(to)).unwrap();
        copy(maker.root(), "root.pem");
        std::fs::write(folder.path().join("README"), "no certificate").unwrap();
        let mut roots = open(folder.path()).await.unwrap();
        let current = roots.subscribe();
        assert_eq!(format!("{:?}", *current.borrow()), "Roots(1)");
        assert!(!roots.read_again().await.unwrap());
        copy(maker.between(), "between.crt");
        assert!(roots.read_again().await.unwrap());
        assert_eq!(format!("{:?}", *current.borrow()), "Roots(2)");
        std::fs::write(folder.path().join("broken.pem"), "").unwrap();
        let error = Chain(&roots.read_again().await.unwrap_err()).to_string();
        let path = folder.path().display();
        assert!(
            error.starts_with(&format!("--ek-roots-path {path}/broken.pem: invalid")),
            "{error}"
        );
        assert_eq!(format!("{:?}", *current.borrow()), "Roots(2)", "the others stay in effect");
    }

    #[tokio::test]
    async fn a_path_without_a_certificate_is_no_way_to_trust_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let empty = open(folder.path()).await.unwrap_err();
        assert!(matches!(empty, Error::Unusable { .. }), "{empty:?}");
        let missing = open(&folder.path().join("roots.pem")).await.unwrap_err();
        assert!(matches!(missing, Error::Unreadable { .. }), "{missing:?}");
    }

    async fn open(path: &Path) -> Result<EkRoots, Error> {
        let flag = format!("--ek-roots-path={}", path.display());
        let words = ["metalman", "serve-pxe", &flag].map(Into::into);
        let args = crate::args::parse(words, |_| false).unwrap().args;
        EkRoots::open(&args).await.map(|it| it.expect("the flag is set"))
    }
}
