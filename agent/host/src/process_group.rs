//! Programs in process groups of their own, so that a program ends together with everything that it has started.

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

/// How long a process may take to end after SIGKILL: one that is writing to a disk takes longer than others.
const GOING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A group of processes, which is killed unless its first one has ended.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended already.
            killpg(group, Signal::SIGKILL).ok();
        }
    }

    /// Waits until no process of the group is left.
    async fn gone(&self) {
        let until = Instant::now() + GOING;
        let Some(group) = self.0 else { return };
        while killpg(group, None) != Err(Errno::ESRCH) {
            if Instant::now() >= until {
                tracing::warn!("a program is still running after SIGKILL");
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a program to its end; `None` if it took too long, and was killed with all that it has started.
///
/// # Errors
///
/// If it cannot be started.
pub(crate) async fn run(mut command: Command, limit: Duration) -> io::Result<Option<ExitStatus>> {
    // Its process group has its process ID.
    let mut child = command.stdin(Stdio::null()).process_group(0).spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.map(Pid::from_raw));
    if let Ok(status) = timeout(limit, child.wait()).await {
        // What it has left running is meant to stay, for example a restart.
        group.0 = None;
        return status.map(Some);
    }
    group.kill();
    child.wait().await?;
    group.gone().await;
    group.0 = None;
    Ok(None)
}
