//! The limit of open files, each connection being one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, because the default is lower than the
/// number of connections that one host can open. If that fails, it is logged, and fewer connections
/// are served at a time.
pub fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, files = file_limit(), "could not raise the limit of open files");
    }
}

/// The current limit of open files.
pub(super) fn file_limit() -> u64 {
    /// POSIX guarantees only 20; this is what a shell typically has.
    const USUAL: u64 = 1024;
    getrlimit(Resource::RLIMIT_NOFILE).map_or(USUAL, |(soft, _)| soft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_allows() {
        raise_file_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(file_limit(), hard);
    }
}
