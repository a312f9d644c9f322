//! For tests.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
};

/// Writes a script for bash that can be run at once, also while other threads start programs.
///
/// Another process writes it: a program that another thread starts meanwhile holds, until it runs, a copy of each
/// file that is open here, and Linux runs nothing that somebody may still write (`ETXTBSY`, execve(2)).
///
/// # Errors
///
/// Where it cannot be written.
pub fn script(path: &Path, body: &str) -> io::Result<()> {
    let mut install = Command::new("install");
    install.args(["--mode=755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut installing = install.spawn()?;
    let mut input = installing.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    write!(input, "#!/bin/bash\n{body}\n")?;
    drop(input);
    let status = installing.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("install {}: {status}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    #[test]
    fn a_script_runs_at_once_while_other_threads_start_programs() {
        let folder = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        assert!(Command::new("true").status().unwrap().success());
                    }
                });
            }
            let ended: Vec<_> = (0..200)
                .map(|round| {
                    let path = folder.path().join(round.to_string());
                    script(&path, &format!("exit {}", round % 7))?;
                    Command::new(&path).status()
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            for (round, status) in ended.into_iter().enumerate() {
                assert_eq!(status.unwrap().code(), i32::try_from(round % 7).ok());
            }
        });
    }
}
