//! The programs of the image: the hook that activates a release, and the health command.

use crate::{
    bootc::{RESTARTING, WHY},
    files,
    plan::HookResult,
    prepare::Prepared,
    process_group,
    state::Release,
};
use anyhow::{Context, Result, bail};
use metal_base::cut;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

/// The pause after a check.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest text that is taken from there, in bytes.
const LONGEST: usize = 512;

/// Runs the hook for a release whose files were prepared.
pub(crate) async fn activate(
    hook: &Path,
    release: &Release,
    prepared: &Prepared,
    limit: Duration,
) -> Result<HookResult> {
    let mut command = Command::new(hook);
    let path = |is_there: bool, path| if is_there { path } else { PathBuf::new() };
    command.env("BLOOMERY_RELEASE", &release.name).env("BLOOMERY_IMAGE", &release.image);
    command.env("BLOOMERY_CONFIG", path(release.configured, prepared.config(release)));
    command.env("BLOOMERY_FILES", path(release.rendered, prepared.files(release)));
    // Absent if an earlier version of the agent has prepared the release.
    let modes = prepared.modes(release);
    command.env("BLOOMERY_MODES", path(release.rendered && modes.exists(), modes));
    let why = prepared.why();
    may_say(&mut command, &why);
    let status = process_group::run(command, limit).await;
    let status = status.with_context(|| format!("hook {}", hook.display()))?;
    let late = || format!("the hook takes longer than {limit:?}{}", said(&why));
    let status = status.with_context(late)?;
    match status.code() {
        Some(0) => Ok(HookResult::Done),
        Some(code) if code == i32::from(RESTARTING) => Ok(HookResult::Restarting),
        _ => bail!("the hook ended with {status}{}", said(&why)),
    }
}

/// Gives a program a file in which it may say why it fails.
fn may_say(command: &mut Command, why: &Path) {
    // What another one has left; on a disk that does not let go of it, it is a hint at least.
    files::remove(why).ok();
    command.env(WHY, why);
}

/// What a program has said about its failure, if anything.
fn said(why: &Path) -> String {
    let text = files::read(why).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {}", cut(text, LONGEST)) }
}

/// Waits until the system is healthy; fails if it is not in time. One run of the program may take all of it. Why it is
/// not, the program may say in a file.
pub(crate) async fn healthy(command: Option<&Path>, why: &Path, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.duration_since(Instant::now());
        let Err(error) = is_healthy(command, why, left).await else { return Ok(()) };
        if Instant::now() + PAUSE >= deadline {
            bail!("not healthy within {limit:?}: {error:#}");
        }
        sleep(PAUSE).await;
    }
}

/// Checks the health of the system once; the program is killed if it takes longer than this.
///
/// # Errors
///
/// Says how the program ended, if it is not.
pub(crate) async fn is_healthy(command: Option<&Path>, why: &Path, limit: Duration) -> Result<()> {
    let Some(program) = command else { return Ok(()) };
    let mut command = Command::new(program);
    may_say(&mut command, why);
    let ended =
        process_group::run(command, limit).await.context("the health command cannot be run")?;
    match ended {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("the health command ended with {status}{}", said(why)),
        None => bail!("the health command was killed after {} s{}", limit.as_secs(), said(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_base::testing::script;
    use std::fs;

    const LIMIT: Duration = Duration::from_mins(2);

    #[tokio::test]
    async fn a_hook_that_fails_or_is_not_there_is_an_error_that_says_so() {
        let release = Release { name: "v1".into(), ..Release::default() };
        let prepared = Prepared::new(Path::new("/nowhere"));
        let run = async |hook: &str| {
            let hooked = activate(Path::new(hook), &release, &prepared, LIMIT).await;
            hooked.map_err(|error| format!("{error:#}"))
        };
        assert_eq!(run("/bin/true").await, Ok(HookResult::Done));
        assert_eq!(run("/bin/false").await, Err("the hook ended with exit status: 1".to_owned()));
        let missing = run("/nowhere/hook").await.unwrap_err();
        assert!(missing.contains("/nowhere/hook"), "{missing}");
    }

    #[tokio::test]
    async fn what_a_hook_says_of_its_failure_is_told_and_not_again_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let (hook, release) = (folder.path().join("hook"), Release::default());
        let prepared = Prepared::new(folder.path());
        for (body, told) in
            [(r#"echo "no room on /boot" > "$BLOOMERY_WHY""#, ": no room on /boot"), ("true", "")]
        {
            script(&hook, &format!("{body}\nexit 1")).unwrap();
            let error = activate(&hook, &release, &prepared, LIMIT).await.unwrap_err();
            assert_eq!(error.to_string(), format!("the hook ended with exit status: 1{told}"));
        }
    }

    #[tokio::test]
    async fn what_a_hook_has_said_is_told_also_if_it_takes_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let hook = folder.path().join("hook");
        script(&hook, "echo 'no registry' > \"$BLOOMERY_WHY\"\nexec sleep 1000").unwrap();
        let (prepared, limit) = (Prepared::new(folder.path()), Duration::from_secs(15));
        let late = activate(&hook, &Release::default(), &prepared, limit).await.unwrap_err();
        assert_eq!(late.to_string(), "the hook takes longer than 15s: no registry");
    }

    #[tokio::test]
    async fn a_hook_is_given_the_modes_of_files_only_if_they_were_prepared() {
        let folder = tempfile::tempdir().unwrap();
        let (hook, told) = (folder.path().join("hook"), folder.path().join("told"));
        script(&hook, &format!("echo \"$BLOOMERY_MODES\" > {}", told.display())).unwrap();
        let release = Release { name: "v1".into(), rendered: true, ..Release::default() };
        let prepared = Prepared::new(folder.path());
        let modes = prepared.modes(&release);
        for expected in ["", &*modes.display().to_string()] {
            activate(&hook, &release, &prepared, LIMIT).await.unwrap();
            assert_eq!(fs::read_to_string(&told).unwrap().trim_end(), expected);
            fs::write(&modes, "").unwrap();
        }
    }

    #[tokio::test]
    async fn nothing_of_a_hook_that_took_too_long_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (hook, mark) = (folder.path().join("hook"), folder.path().join("mark"));
        // What it has started, and that has started something itself, goes on once it may.
        let may = folder.path().join("may");
        let goes_on =
            format!("until [ -e {} ]; do sleep 0.1; done; touch {}", may.display(), mark.display());
        script(&hook, &format!("( ({goes_on}) & wait) &\nwait")).unwrap();
        let release = Release { name: "v1".into(), ..Release::default() };
        let (prepared, limit) = (Prepared::new(folder.path()), Duration::from_millis(300));
        let error = activate(&hook, &release, &prepared, limit).await.unwrap_err().to_string();
        assert!(error.contains("takes longer than 300ms"), "{error}");
        fs::write(&may, "").unwrap();
        sleep(Duration::from_secs(3)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn a_system_is_healthy_if_its_command_says_so_in_time() {
        let nowhere = Path::new("/nowhere/why");
        assert!(healthy(None, nowhere, Duration::ZERO).await.is_ok(), "nothing was to be checked");
        assert!(healthy(Some(Path::new("/bin/true")), nowhere, LIMIT).await.is_ok());
        for (command, why) in
            [("/bin/false", "ended with exit status: 1"), ("/nowhere/healthy", "cannot be run")]
        {
            let ill = is_healthy(Some(Path::new(command)), nowhere, LIMIT).await.unwrap_err();
            assert!(format!("{ill:#}").contains(why), "{ill:#}");
        }
    }

    #[tokio::test]
    async fn what_the_health_command_says_of_a_system_that_is_ill_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (program, why) = (folder.path().join("healthy"), folder.path().join("why"));
        script(&program, "echo 'nginx is not active' > \"$BLOOMERY_WHY\"\nexit 3").unwrap();
        let ill = is_healthy(Some(&program), &why, LIMIT).await.unwrap_err().to_string();
        assert_eq!(ill, "the health command ended with exit status: 3: nginx is not active");
    }

    #[tokio::test(start_paused = true)]
    async fn a_health_command_may_take_all_of_the_time_that_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("healthy");
        script(&program, "exec sleep 1000").unwrap();
        // The clock goes on at once where everybody waits.
        let why = folder.path().join("why");
        let late = healthy(Some(&program), &why, LIMIT).await.unwrap_err().to_string();
        let expected = "not healthy within 120s: the health command was killed after 1";
        assert!(late.starts_with(expected), "{late}");
    }
}
