//! The programs of the image: the hook that has a release run, and the one that says whether the
//! system is healthy.

use crate::state::Release;
use anyhow::{Context, Result, bail};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

/// The hook has begun a reboot (EX_TEMPFAIL of sysexits.h).
const REBOOTING: i32 = 75;
/// How long one check may take, and the pause after it.
const CHECK: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(2);

/// What came of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hooked {
    /// The system runs the release.
    Done,
    /// It will, after the reboot that has begun.
    Rebooting,
}

/// Has the system run a release. `config` is the file with its configuration.
pub(crate) async fn activate(
    hook: &Path,
    release: &Release,
    config: Option<&Path>,
    limit: Duration,
) -> Result<Hooked> {
    let mut command = Command::new(hook);
    command.env("BLOOMERY_RELEASE", &release.name).env("BLOOMERY_IMAGE", &release.image);
    command.env("BLOOMERY_CONFIG", config.unwrap_or(Path::new("")));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let status = timeout(limit, command.status()).await;
    let status = status.with_context(|| format!("the hook takes longer than {limit:?}"))?;
    let status = status.with_context(|| format!("hook {}", hook.display()))?;
    match status.code() {
        Some(0) => Ok(Hooked::Done),
        Some(REBOOTING) => Ok(Hooked::Rebooting),
        _ => bail!("the hook ended with {status}"),
    }
}

/// Waits until the system is healthy; fails if it is not in time.
pub(crate) async fn healthy(command: Option<&Path>, limit: Duration) -> Result<()> {
    let Some(program) = command else { return Ok(()) };
    let deadline = Instant::now() + limit;
    loop {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let checked = timeout(CHECK, command.status()).await;
        if matches!(checked, Ok(Ok(status)) if status.success()) {
            return Ok(());
        }
        if Instant::now() + PAUSE >= deadline {
            bail!("not healthy within {limit:?}");
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(2);

    #[tokio::test]
    async fn a_hook_that_fails_or_is_not_there_is_an_error_that_says_so() {
        let release = Release { name: "v1".into(), image: "image".into(), configured: false };
        let run = async |hook: &str| {
            let hooked = activate(Path::new(hook), &release, None, LIMIT).await;
            hooked.map_err(|error| format!("{error:#}"))
        };
        assert_eq!(run("/bin/true").await, Ok(Hooked::Done));
        assert_eq!(run("/bin/false").await, Err("the hook ended with exit status: 1".to_owned()));
        let missing = run("/nowhere/hook").await.unwrap_err();
        assert!(missing.contains("/nowhere/hook"), "{missing}");
    }

    #[tokio::test]
    async fn a_system_is_healthy_if_its_command_says_so_in_time() {
        assert!(healthy(None, Duration::ZERO).await.is_ok(), "nothing was to be checked");
        assert!(healthy(Some(Path::new("/bin/true")), LIMIT).await.is_ok());
        for command in ["/bin/false", "/nowhere/healthy"] {
            let late = healthy(Some(Path::new(command)), Duration::ZERO).await.unwrap_err();
            assert_eq!(late.to_string(), "not healthy within 0ns");
        }
    }
}
