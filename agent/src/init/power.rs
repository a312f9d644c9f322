//! What ends a program: the power button, and signals to the first process.

use crate::root::Root;
use nix::libc::O_NONBLOCK;
use std::{
    collections::BTreeSet, convert::Infallible, fs::OpenOptions, io, os::unix::fs::OpenOptionsExt,
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

const INPUTS: &str = "/dev/input";
/// How often to look for new keyboards and buttons.
const LOOK: Duration = Duration::from_secs(1);
/// `struct input_event` of a 64-bit kernel: time, type, code, value.
const EVENT: usize = 24;
const KEY: u16 = 1;
const POWER: u16 = 116;
const PRESSED: i32 = 1;
/// "Power failure" (`signal(7)`), which the runtime has no name for.
const POWER_FAILS: i32 = nix::libc::SIGPWR;

/// What happens to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Off.
    PowerOff,
    /// On again.
    Reboot,
}

/// Requests a scan for new buttons.
#[derive(Debug)]
pub struct ScanTrigger(mpsc::Sender<oneshot::Sender<()>>);

/// Receives the requests for scans.
#[derive(Debug)]
pub(super) struct ScanRequests(mpsc::Receiver<oneshot::Sender<()>>);

/// Both ends of the channel.
pub(super) fn scan_channel() -> (ScanTrigger, ScanRequests) {
    let (ask, asked) = mpsc::channel(1);
    (ScanTrigger(ask), ScanRequests(asked))
}

impl ScanTrigger {
    /// Returns once all buttons present are being watched. A machine is switched off within
    /// milliseconds of its report.
    pub async fn scan(&self) {
        let (seen, is_seen) = oneshot::channel();
        // An error means that the end has come already.
        if self.0.send(seen).await.is_ok() {
            is_seen.await.ok();
        }
    }
}

/// Waits for a reason to end.
pub(super) async fn wait(root: &Root, requests: ScanRequests) -> io::Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut power_fails = signal(SignalKind::from_raw(POWER_FAILS))?;
    // How Ctrl-Alt-Del arrives.
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        () = button(root, requests) => {
            tracing::info!("power button pressed; powering off");
            End::PowerOff
        }
        () = told(&mut terminate) => End::PowerOff,
        () = told(&mut power_fails) => End::PowerOff,
        () = told(&mut interrupt) => End::Reboot,
    })
}

async fn told(signal: &mut Signal) {
    signal.recv().await;
    tracing::info!("received a termination signal");
}

/// Waits for a press of a power button: a real one, or the one a BMC presses for a graceful
/// shutdown.
async fn button(root: &Root, ScanRequests(mut requests): ScanRequests) {
    let (mut known, mut inputs) = (BTreeSet::new(), JoinSet::new());
    let mut asked: Option<oneshot::Sender<()>> = None;
    loop {
        for name in root.names(INPUTS).unwrap_or_default() {
            // What cannot be opened now is tried again.
            if name.starts_with("event")
                && !known.contains(&name)
                && let Ok(input) = open(root, &name)
            {
                known.insert(name.clone());
                inputs.spawn(async { (name, pressed(input).await) });
            }
        }
        // Whoever asked may be gone.
        asked.take().and_then(|seen| seen.send(()).ok());
        tokio::select! {
            Some(Ok((name, press))) = inputs.join_next() => match press {
                Ok(()) => return,
                // The next device may get the same name.
                Err(_) => drop(known.remove(&name)),
            },
            Some(seen) = requests.recv() => asked = Some(seen),
            () = sleep(LOOK) => {}
        }
    }
}

/// The runtime has no type for input devices, but waits for and reads any descriptor alike, so its
/// pipe type serves.
fn open(root: &Root, name: &str) -> io::Result<Receiver> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(O_NONBLOCK);
    Receiver::from_file_unchecked(options.open(root.below(&format!("{INPUTS}/{name}")))?)
}

/// Waits for this input's power key; an input that disappears is an error.
async fn pressed(mut input: Receiver) -> io::Result<()> {
    let mut events = [0; 64 * EVENT];
    loop {
        match input.read(&mut events).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length if is_power(&events[..length]) => return Ok(()),
            _ => {}
        }
    }
}

/// Whether one of the events is a press of a power key.
fn is_power(events: &[u8]) -> bool {
    events.as_chunks::<EVENT>().0.iter().any(|event| {
        let [.., k0, k1, c0, c1, v0, v1, v2, v3] = *event;
        let (kind, code) = (u16::from_ne_bytes([k0, k1]), u16::from_ne_bytes([c0, c1]));
        (kind, code, i32::from_ne_bytes([v0, v1, v2, v3])) == (KEY, POWER, PRESSED)
    })
}

/// Powers the machine off or restarts it. Returns only if the kernel refuses.
pub(super) fn enact(end: End) -> nix::Result<Infallible> {
    use nix::sys::reboot::{RebootMode, reboot};
    reboot(match end {
        End::PowerOff => RebootMode::RB_POWER_OFF,
        End::Reboot => RebootMode::RB_AUTOBOOT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{sys::stat::Mode, unistd::mkfifo};
    use std::{
        fs,
        io::{Write, pipe},
    };
    use tokio::time::timeout;

    #[test]
    fn only_a_press_of_the_power_key_counts() {
        let noise = [event(0, 0, 0), event(KEY, 30, PRESSED), event(KEY, POWER, 0)].concat();
        assert!(!is_power(&noise));
        let press = [noise.clone(), event(KEY, POWER, PRESSED)].concat();
        assert!(is_power(&press));
        assert!(!is_power(&press[..press.len() - 1]), "half an event is none");
    }

    #[tokio::test]
    async fn a_press_is_noticed_among_other_events() {
        let (reader, mut writer) = pipe().unwrap();
        let input = Receiver::from_owned_fd(reader.into()).unwrap();
        for event in [event(0, 0, 0), event(KEY, POWER, PRESSED)] {
            writer.write_all(&event).unwrap();
        }
        pressed(input).await.unwrap();
    }

    #[tokio::test]
    async fn an_input_that_is_pulled_out_is_no_press() {
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        let input = Receiver::from_owned_fd(reader.into()).unwrap();
        assert!(pressed(input).await.is_err());
    }

    #[tokio::test]
    async fn after_a_look_a_press_of_a_new_button_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = folder.path().join("dev/input");
        fs::create_dir_all(&inputs).unwrap();
        let root = Root::new(folder.path());
        let (trigger, requests) = scan_channel();
        let watching = tokio::spawn(async move { button(&root, requests).await });
        trigger.scan().await;
        let input = inputs.join("event0");
        mkfifo(&input, Mode::S_IRWXU).unwrap();
        trigger.scan().await;
        // Opening it like this fails unless somebody reads.
        let mut options = OpenOptions::new();
        let opened = options.write(true).custom_flags(O_NONBLOCK).open(input);
        opened.unwrap().write_all(&event(KEY, POWER, PRESSED)).unwrap();
        timeout(Duration::from_mins(1), watching).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_input_that_gets_the_name_of_one_that_was_pulled_out_is_watched() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = folder.path().join("dev/input");
        fs::create_dir_all(&inputs).unwrap();
        let (root, input) = (Root::new(folder.path()), inputs.join("event0"));
        let (trigger, requests) = scan_channel();
        let watching = tokio::spawn(async move { button(&root, requests).await });
        let plug_in = || {
            mkfifo(&input, Mode::S_IRWXU).unwrap();
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).custom_flags(O_NONBLOCK);
        plug_in();
        trigger.scan().await;
        let first = options.open(&input).unwrap();
        fs::remove_file(&input).unwrap();
        drop(first);
        plug_in();
        let second = async {
            loop {
                trigger.scan().await;
                match options.open(&input) {
                    Ok(opened) => break opened,
                    // It is not known yet that the first is gone.
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let mut second = timeout(Duration::from_mins(1), second).await.unwrap();
        second.write_all(&event(KEY, POWER, PRESSED)).unwrap();
        timeout(Duration::from_mins(1), watching).await.unwrap().unwrap();
    }

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let fields = [&kind.to_ne_bytes()[..], &code.to_ne_bytes(), &value.to_ne_bytes()];
        [&[0; 16][..], &fields.concat()].concat()
    }
}
