//! What `hack/demo` builds and becomes. It starts itself once more in a network namespace, with a
//! socket of this machine as its standard input.

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
    /// A folder of its own, which is removed in the end; after a failure its logs are left.
    #[arg(long)]
    folder: PathBuf,
    /// By which flags unshare makes a network namespace here.
    #[arg(long, allow_hyphen_values = true)]
    network_flags: String,
    /// Number of servers. So many have a place in the address ranges of demo.d/site/netboot.yaml.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=30_000))]
    servers: u32,
    /// Ends when all was shown.
    #[arg(long)]
    once: bool,
    /// One of the servers is a virtual machine.
    #[arg(long)]
    vm: bool,
    /// When all of it was begun, in microseconds since 1970.
    #[arg(long)]
    begun: Option<u64>,
    /// In the network namespace, with a socket as standard input.
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

/// Shows it; returns the status to end with.
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
        // Ctrl-C ends a command that is being waited for, too.
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

/// When all of it was begun.
fn begun(args: &Args) -> Instant {
    let begun = args.begun.map(|since| SystemTime::UNIX_EPOCH + Duration::from_micros(since));
    let since = begun.and_then(|begun| begun.elapsed().ok()).unwrap_or_default();
    Instant::now().checked_sub(since).unwrap_or_else(Instant::now)
}

/// Status after SIGINT, as a shell has it.
const INTERRUPTED: u8 = 130;
/// Status after a signal that ends everything at once.
const TERMINATED: u8 = 143;

/// Signals of those who want an end. From now on they end nothing by themselves.
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

    /// The status to end with.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => INTERRUPTED,
            _ = self.terminate.recv() => TERMINATED,
            _ = self.hangup.recv() => TERMINATED,
        }
    }

    /// The same, if there is one by now.
    async fn soon(&mut self) -> Option<u8> {
        tokio::time::timeout(Duration::from_millis(200), self.next()).await.ok()
    }
}
