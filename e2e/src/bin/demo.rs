//! The program that `hack/demo` builds and replaces itself with. It runs itself again in a network
//! namespace, with a listening socket of the outer namespace as standard input.

use anyhow::{Context, Result};
use clap::Parser;
use e2e::demo::{self, Screen, Settings};
use std::{
    env,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant, SystemTime},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The whole path on this machine, with simulated servers.
#[derive(Debug, Parser)]
#[command(name = "hack/demo")]
struct Args {
    /// Working folder, created for this run and removed at the end; after a failure the logs stay
    /// in it.
    #[arg(long)]
    folder: PathBuf,
    /// The flags with which unshare makes a network namespace on this machine.
    #[arg(long, allow_hyphen_values = true)]
    network_flags: String,
    /// Number of servers. The maximum is what the address ranges of demo.d/site/netboot.yaml hold.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=30_000))]
    servers: u32,
    /// Exit once everything was shown.
    #[arg(long)]
    once: bool,
    /// One of the servers is a virtual machine, and so is the machine that becomes a node.
    #[arg(long)]
    vm: bool,
    /// When the demo was started, in microseconds since 1970.
    #[arg(long)]
    begun: Option<u64>,
    /// Already in the network namespace, with a socket as standard input.
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.inside {
        let runtime = tokio::runtime::Runtime::new()?;
        return Ok(runtime.block_on(inside(&args)));
    }
    let (socket, _) = demo::listen()?;
    let mut command = Command::new("unshare");
    command.arg(&args.network_flags).arg(env::current_exe()?).args(env::args_os().skip(1));
    Err(command.arg("--inside").stdin(Stdio::from(socket)).exec()).context("unshare")
}

async fn inside(args: &Args) -> ExitCode {
    let screen = Screen::new();
    let status = match show(args, &screen).await {
        Ok(status) => status,
        Err(error) => {
            screen.erase();
            eprintln!("hack/demo: {error:#}");
            eprintln!("hack/demo: all logs are in {}", args.folder.join("logs").display());
            1
        }
    };
    screen.erase();
    if let Err(error) = demo::end(&args.folder, status == 1).await {
        eprintln!("hack/demo: {error:#}");
        return ExitCode::FAILURE;
    }
    screen.tell("everything is ended");
    ExitCode::from(status)
}

/// Runs the demo; returns the exit status.
async fn show(args: &Args, screen: &Screen) -> Result<u8> {
    let mut signals = Signals::new()?;
    let settings = Settings { folder: args.folder.clone(), servers: args.servers, vm: args.vm };
    let listener = demo::inherited()?;
    let running = tokio::select! {
        biased;
        status = signals.next() => return Ok(status),
        running = demo::run(&settings, screen, listener) => running,
    };
    let running = match running {
        Ok(running) => running,
        // Ctrl-C also ends a command that is being waited for, so look for a signal first.
        Err(error) => return signals.soon().await.ok_or(error),
    };
    if args.once {
        screen.done(begun(args), "all of it");
        return Ok(0);
    }
    tokio::select! {
        biased;
        status = signals.next() => Ok(if status == INTERRUPTED { 0 } else { status }),
        ended = running.stay(screen) => ended.map(|()| 0),
    }
}

/// When the demo was started.
fn begun(args: &Args) -> Instant {
    let begun = args.begun.map(|since| SystemTime::UNIX_EPOCH + Duration::from_micros(since));
    let since = begun.and_then(|begun| begun.elapsed().ok()).unwrap_or_default();
    Instant::now().checked_sub(since).unwrap_or_else(Instant::now)
}

/// Exit status after SIGINT, as in a shell.
const INTERRUPTED: u8 = 130;
/// Exit status after SIGTERM or SIGHUP.
const TERMINATED: u8 = 143;

/// The signals that ask to exit. From now on they no longer end the process by themselves.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a signal; returns the status to exit with.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
            _ = self.hangup.recv() => TERMINATED,
        }
    }

    /// The same, but `None` if no signal arrives within a moment.
    async fn soon(&mut self) -> Option<u8> {
        tokio::time::timeout(Duration::from_millis(200), self.next()).await.ok()
    }
}
