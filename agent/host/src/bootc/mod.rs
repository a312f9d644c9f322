//! Which image a bootc system runs, and how it is made to boot another one.
//!
//! `metal-host bootc IMAGE` is what the hook for such systems calls. What bootc says is parsed, never
//! searched: the order of fields differs between its versions, and so does the way in which it writes the
//! name of an image.

mod image;
mod plan;
mod status;

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use image::Image;
use metal_base::{cut, jittered};
use plan::{Command, Plan};
use status::Status;
use std::{
    env, fs,
    io::{self, Write},
    path::Path,
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, Command as Program},
    time::{Instant, sleep, timeout},
};

/// The hook has begun a restart (EX_TEMPFAIL of sysexits.h).
pub(crate) const RESTARTING: u8 = 75;
/// The variable with the file in which a hook, or the health command, may say why it fails.
pub(crate) const WHY: &str = "BLOOMERY_WHY";
/// How long bootc may take to say what there is.
const STATUS: Duration = Duration::from_mins(2);
/// Pauses before an image is fetched again, some seven minutes: a registry that is away says nothing about a release.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(4),
];
/// The longest status, in bytes.
const LONGEST: usize = 4 << 20;
/// The longest line that is passed on in one piece, in bytes.
const LINE: u64 = 4096;
/// How much is told of what a program says that fails, in bytes.
const SHOWN: usize = 512;
/// How long what a program has said is read after its end.
const WORDS: Duration = Duration::from_secs(1);

/// Arguments of `metal-host bootc`.
#[derive(Args, Clone, Debug)]
pub struct Bootc {
    /// The image, with its digest
    #[arg(value_name = "IMAGE")]
    image: String,
}

impl Bootc {
    /// Has the system boot the image: 0 if it runs, and nothing else boots next; 75 if it does after the
    /// restart that has begun.
    ///
    /// # Errors
    ///
    /// If bootc does not do it, or the image has no digest.
    pub async fn run(&self) -> Result<ExitCode> {
        let ended = self.try_run().await;
        say_why(ended.as_ref().err());
        ended
    }

    async fn try_run(&self) -> Result<ExitCode> {
        let wanted = Image::parse(&self.image);
        ensure!(wanted.digest.is_some(), "{}: give it with its digest", self.image);
        let Plan { commands, restarts } = plan::of(&status().await?, &wanted);
        for command in &commands {
            execute(*command, &wanted).await?;
        }
        if restarts {
            perform(Program::new("systemctl").arg("reboot")).await?;
            return Ok(ExitCode::from(RESTARTING));
        }
        let is_changed = !commands.is_empty();
        ensure!(
            !is_changed || status().await?.boots_next(&wanted),
            "another image boots next, whatever bootc is told"
        );
        Ok(ExitCode::SUCCESS)
    }
}

/// Tells the agent, which has started the hook, why it fails, or that it no longer does. Best effort: it is in the log
/// as well.
fn say_why(error: Option<&Error>) {
    let why = error.map(|error| format!("{error:#}\n")).unwrap_or_default();
    if let Some(file) = env::var_os(WHY) {
        fs::write(file, why).ok();
    }
}

/// The image of the system that runs, by repository and digest, if it is one of bootc.
pub(crate) async fn booted() -> Option<String> {
    let status = status()
        .await
        .inspect_err(|error| tracing::debug!(error = format!("{error:#}"), "no system of bootc"))
        .ok()?;
    status.booted.and_then(|it| it.image()).map(|image| image.to_string())
}

/// What this program prints: the image of the system that runs.
///
/// # Errors
///
/// If it prints none.
pub(crate) async fn told_by(program: &Path) -> Result<String> {
    let name = || program.display().to_string();
    let text = output(&mut Program::new(program)).await.with_context(name)?;
    let text = String::from_utf8(text).with_context(name)?.trim().to_owned();
    ensure!(!text.is_empty() && !text.contains(char::is_whitespace), "{}: no image", name());
    Ok(text)
}

async fn status() -> Result<Status> {
    let text = output(Program::new("bootc").args(["status", "--format=json"])).await;
    Status::parse(&text.context("bootc status")?)
}

async fn execute(command: Command, wanted: &Image) -> Result<()> {
    let mut bootc = Program::new("bootc");
    match command {
        Command::Switch => bootc.arg("switch").arg(wanted.to_string()),
        Command::Rollback => bootc.arg("rollback"),
        Command::Unlock => bootc.args(["upgrade", "--from-downloaded"]),
    };
    match command {
        Command::Switch => patiently(&AGAIN, async || perform(&mut bootc).await).await,
        Command::Rollback | Command::Unlock => perform(&mut bootc).await,
    }
}

/// Does something until it succeeds, with these pauses, but no longer than they take in all: what does not answer
/// takes long by itself, and the hook has its time limit.
async fn patiently(pauses: &[Duration], mut what: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let (begun, most) = (Instant::now(), pauses.iter().sum::<Duration>());
    for pause in pauses {
        let Err(error) = what().await else { return Ok(()) };
        if begun.elapsed() >= most {
            return Err(error);
        }
        tracing::warn!(error = format!("{error:#}"), "tried again later");
        // Whoever ends this hook meanwhile knows why.
        say_why(Some(&error));
        sleep(jittered(*pause)).await;
    }
    what().await
}

/// Runs a program in the group of this one, so that it is killed with it.
async fn perform(program: &mut Program) -> Result<()> {
    let name = format!("{:?}", program.as_std());
    let child = program.kill_on_drop(true).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| name.clone())?;
    let (said, mut last) = (child.stderr.take(), String::new());
    let status = ended(&mut child, passed_on(said, &mut last)).await;
    let status = status.with_context(|| name.clone())?;
    ensure!(status.success(), "{name} ended with {status}{last}");
    Ok(())
}

/// Waits for the end of a program while what it says is read. What it has left running may hold its output open for
/// ever.
async fn ended(child: &mut Child, read: impl Future<Output = ()>) -> io::Result<ExitStatus> {
    tokio::select! {
        () = read => child.wait().await,
        status = async {
            let status = child.wait().await;
            // Its last words are in the pipe.
            sleep(WORDS).await;
            status
        } => status,
    }
}

/// Passes on to the log what a program says, as it comes; its last words are in `last` at any time.
async fn passed_on(said: Option<ChildStderr>, last: &mut String) {
    let Some(mut said) = said.map(BufReader::new) else { return };
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that is too long comes in pieces.
        let Ok(1..) = (&mut said).take(LINE).read_until(b'\n', &mut line).await else { return };
        let words = String::from_utf8_lossy(&line);
        let words = words.trim_end_matches('\n');
        // The log may be gone.
        writeln!(io::stderr(), "{words}").ok();
        if !words.trim().is_empty() {
            *last = format!(": {}", words.trim());
        }
    }
}

/// What a program prints.
async fn output(program: &mut Program) -> Result<Vec<u8>> {
    program.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut printed, mut said) = (Vec::new(), Vec::new());
    let read = async {
        tokio::join!(read_some(out, &mut printed), read_some(err, &mut said));
    };
    let status = timeout(STATUS, ended(&mut child, read)).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&said);
    ensure!(printed.len() <= LONGEST, "it says more than {LONGEST} bytes");
    ensure!(status.success(), "it ended with {status}: {}", cut(said.trim(), SHOWN));
    Ok(printed)
}

/// Reads to the end, but not much more than the longest status.
async fn read_some(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) {
    if let Some(from) = from {
        // What was read before an error counts.
        from.take(LONGEST as u64 + 1).read_to_end(to).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };

    #[tokio::test]
    async fn a_program_that_fails_is_told_of_with_its_last_words() {
        let words = "echo 'fetching' >&2; echo 'error: manifest unknown' >&2; echo >&2; exit 3";
        let error = perform(Program::new("bash").args(["-c", words])).await.unwrap_err();
        let error = error.to_string();
        assert!(error.ends_with(" ended with exit status: 3: error: manifest unknown"), "{error}");
        perform(Program::new("bash").args(["-c", "echo fine >&2"])).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_holds_up_nobody_who_waits_for_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let left = folder.path().join("left");
        let program = |its: &str, last: &str| {
            let mut program = Program::new("bash");
            let left = left.display();
            program.arg("-c").arg(format!("sleep 100 {its} & echo $! > {left}; {last}"));
            program
        };
        // Only what still runs can be ended.
        let end = || {
            let id = fs::read_to_string(&left).unwrap().trim().parse().unwrap();
            kill(Pid::from_raw(id), Signal::SIGKILL).unwrap();
        };
        let mut fails = program("> /dev/null", "echo 'error: no room' >&2; exit 3");
        let error = perform(&mut fails).await.unwrap_err().to_string();
        end();
        assert!(error.ends_with(" ended with exit status: 3: error: no room"), "{error}");
        let printed = output(&mut program("", "echo status")).await.unwrap();
        end();
        assert_eq!(printed, b"status\n");
    }

    #[tokio::test]
    async fn a_program_that_prints_without_end_costs_bounded_memory() {
        let mut endless = Program::new("bash");
        let error = output(endless.args(["-c", "exec yes"])).await.unwrap_err().to_string();
        assert_eq!(error, format!("it says more than {LONGEST} bytes"));
        let mut line = Program::new("bash");
        line.args(["-c", "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3"]);
        let error = perform(&mut line).await.unwrap_err().to_string();
        assert!(error.len() < 8192, "{} bytes", error.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_away_for_minutes_makes_no_release_bad() {
        let begun = Instant::now();
        let fetched = patiently(&AGAIN, async || {
            ensure!(begun.elapsed() > Duration::from_mins(3), "the registry does not answer");
            Ok(())
        });
        fetched.await.unwrap();
        let begun = Instant::now();
        let gone = patiently(&AGAIN, async || Err(anyhow!("there is no such image"))).await;
        assert_eq!(gone.unwrap_err().to_string(), "there is no such image");
        assert!(begun.elapsed() < Duration::from_mins(15), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_is_silent_does_not_take_all_of_the_time_of_the_hook() {
        let begun = Instant::now();
        let silent = patiently(&AGAIN, async || {
            sleep(Duration::from_mins(4)).await;
            Err(anyhow!("it does not answer"))
        });
        assert_eq!(silent.await.unwrap_err().to_string(), "it does not answer");
        assert!(begun.elapsed() < Duration::from_mins(15), "{:?}", begun.elapsed());
    }
}
