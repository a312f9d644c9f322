//! The first process of an image that has no other: of the discovery image, and of others
//! ([`start`]).
//!
//! ```text
//!  mounts ─► drivers ─► ports ─► addresses ─► Ignition from the boot service ─► reports, forever
//!               ▲                                                                    │
//!               └── again and again: devices come late, cables are plugged in        ▼
//!                                               power button, Ctrl-Alt-Del ──► off, or on again
//! ```
//!
//! metalprobe changes nothing on the machine's disks. Everything that it does and waits for is shown on
//! every console, for a person who has nothing else to go by.

mod boot_source;
mod boot_url;
mod console;
mod dhcp;
mod dhcp6;
mod discover;
mod drivers;
mod ignition;
mod link;
mod mounts;
mod network;
mod power;
mod resolvers;
mod routers;
#[cfg(test)]
mod wire;

pub use discover::address;
pub use network::network;
pub use power::{End, ScanTrigger};

use crate::root::Root;
use console::{Consoles, Uptime};
use metal_base::Chain;
use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::ExitCode,
    time::Duration,
};
use tokio::{runtime::Builder, sync::watch};

/// How long an error stays on screen before the machine restarts.
const READING: Duration = Duration::from_mins(1);

/// A program that is the first process of an image.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name, at the beginning of each line on the console.
    pub name: &'static str,
    /// What it is there for, on the first line.
    pub greeting: &'static str,
}

const METALPROBE: Program = Program {
    name: "metalprobe",
    greeting: "this machine is looked at: what it is made of is reported, nothing is changed",
};

/// Whether this is to be the first process: the kernel calls it `/init`, and a person may pass
/// `--init`.
pub fn is_wanted(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let name = arguments.next();
    let called = name.is_some_and(|name| Path::new(&name).file_name() == Some("init".as_ref()));
    called || arguments.any(|argument| argument == "--init")
}

/// Runs until the machine is switched off; returns only if that fails.
pub fn run() -> ExitCode {
    start(METALPROBE, async |root, trigger| match work(root, trigger).await {})
}

/// Does `work` as the first process, until that or a person ends it; then the machine is switched off, or
/// restarted. Returns only if that fails.
pub fn start(program: Program, work: impl AsyncFnOnce(&Root, &ScanTrigger) -> End) -> ExitCode {
    let failures = mounts::base();
    let consoles = Consoles::open();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_timer(Uptime(program.name))
        .with_writer(consoles)
        .init();
    tracing::info!("{}", program.greeting);
    for failure in &failures {
        tracing::warn!("{}", Chain(failure));
    }
    // We want to be told of Ctrl-Alt-Del.
    nix::sys::reboot::set_cad_enabled(false).ok();
    let end = panic::catch_unwind(AssertUnwindSafe(|| live(work)));
    let end = end.unwrap_or_else(|_| Err(io::Error::other("it ended unexpectedly")));
    let end = end.unwrap_or_else(|error| {
        let name = program.name;
        tracing::error!(error = %Chain(&error), "{name} failed; rebooting");
        // There is no runtime left to wait in.
        std::thread::park_timeout(READING);
        End::Reboot
    });
    match power::enact(end) {
        Ok(never) => match never {},
        Err(error) => tracing::error!(%error, "this machine can be switched off only by hand"),
    }
    ExitCode::FAILURE
}

fn live(work: impl AsyncFnOnce(&Root, &ScanTrigger) -> End) -> io::Result<End> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let root = Root::new("/");
        let (trigger, requests) = power::scan_channel();
        tokio::select! {
            end = power::wait(&root, requests) => end,
            end = work(&root, &trigger) => Ok(end),
        }
    });
    // Whatever still runs in a thread may wait for a device, forever.
    runtime.shutdown_background();
    end
}

async fn work(root: &Root, buttons: &ScanTrigger) -> Infallible {
    let (boot_url, told) = watch::channel(None);
    tokio::select! {
        never = network::keep(root.clone(), Some(boot_url)) => never,
        never = discover::report(root, &told, buttons) => never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_or_a_flag_makes_it_the_first_process() {
        let wanted = |words: &[&str]| is_wanted(words.iter().map(OsString::from));
        assert!(wanted(&["/init"]));
        assert!(wanted(&["init", "splash"]));
        assert!(wanted(&["/metalprobe", "--init"]));
        // As the first process of a container.
        assert!(!wanted(&["/metalprobe", "--registry-url=http://a"]));
        assert!(!wanted(&["/launch.sh"]));
        assert!(!wanted(&[]));
    }
}
