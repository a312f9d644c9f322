//! metalprobe as the first process of the discovery image, which has no other.
//!
//! ```text
//!  mounts ─► drivers ─► ports ─► addresses ─► Ignition from the boot service ─► reports, for ever
//!               ▲                                                                    │
//!               └── again and again: devices come late, cables are plugged in        ▼
//!                                               power button, Ctrl-Alt-Del ──► off, or on again
//! ```
//!
//! It changes nothing on the machine's disks. Everything that it does and waits for is told on
//! every console, for a person who has nothing else to go by.

mod console;
mod dhcp;
mod dhcp6;
mod discover;
mod drivers;
mod ignition;
mod mounts;
mod network;
mod origin;
mod power;

use crate::root::Root;
use console::{Consoles, Uptime};
use metal_base::Chain;
use power::{End, ScanTrigger};
use std::{
    convert::Infallible, ffi::OsString, io, panic, path::Path, process::ExitCode, time::Duration,
};
use tokio::{runtime::Builder, sync::watch};

/// How long an error stays on screen before the machine restarts.
const READING: Duration = Duration::from_mins(1);

/// Whether this is to be the first process: the kernel calls it `/init`, and a person may pass
/// `--init`.
pub fn is_wanted(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let name = arguments.next();
    let called = name.is_some_and(|name| Path::new(&name).file_name() == Some("init".as_ref()));
    called || arguments.any(|argument| argument == "--init")
}

/// Runs until the machine is switched off; returns only if that fails.
pub fn run() -> ExitCode {
    let failures = mounts::base();
    let consoles = Consoles::open();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_target(false)
        .with_timer(Uptime)
        .with_writer(consoles)
        .init();
    tracing::info!("this machine is looked at: what it is made of is reported, nothing is changed");
    for failure in &failures {
        tracing::warn!("{}", Chain(failure));
    }
    // We want to be told of Ctrl-Alt-Del.
    nix::sys::reboot::set_cad_enabled(false).ok();
    let end = panic::catch_unwind(live).unwrap_or_else(|_| Err(io::Error::other("it broke off")));
    let end = end.unwrap_or_else(|error| {
        tracing::error!(error = %Chain(&error), "metalprobe cannot go on; this machine restarts");
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

fn live() -> io::Result<End> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let root = Root::new("/");
        let (trigger, requests) = power::scan_channel();
        tokio::select! {
            end = power::wait(&root, requests) => end,
            never = work(&root, &trigger) => match never {},
        }
    })
}

async fn work(root: &Root, buttons: &ScanTrigger) -> Infallible {
    let (boot_url, told) = watch::channel(None);
    tokio::select! {
        never = network::keep(root.clone(), boot_url) => never,
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
