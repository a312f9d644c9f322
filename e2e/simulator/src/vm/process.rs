//! QEMU as a process: one boot of one machine.

use super::{
    console,
    firmware::{Boot, Files},
    qmp::{Event, Qmp, QmpError},
    tpm::Tpm,
    variables::{self, FlashError},
};
use crate::{boot_settings::BootMode, hardware::Hardware, medium::MediumError, vm_settings::Vm};
use std::{
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    fs::{self, File},
    net::{UnixListener, unix::pipe::Receiver},
    process::{Child, Command},
    task::JoinSet,
    time::timeout,
};

/// How long QEMU may take to exit.
const FAREWELL: Duration = Duration::from_secs(10);
/// Size of the first disk. The file is sparse.
const DISK: u64 = 8 << 30;

/// Why a virtual machine does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub(super) enum VmError {
    /// Its folder cannot be used.
    #[error("folder of the virtual machine")]
    Folder(#[source] io::Error),
    /// Its firmware cannot be read.
    #[error("{0}: no UEFI firmware to be used")]
    Firmware(String, #[source] io::Error),
    /// The medium in its virtual drive cannot be read.
    #[error("medium of the virtual drive")]
    Medium(#[from] MediumError),
    /// Its variables cannot be changed.
    #[error("UEFI variables")]
    Variables(#[from] FlashError),
    /// Its process cannot be started.
    #[error("{0} does not start, where QEMU is missing run hack/prepare vm")]
    Start(String, #[source] io::Error),
    /// Its process has exited.
    #[error("QEMU ended at once ({0}), its console has the reason")]
    Ended(String),
    /// Its TPM cannot be started.
    #[error("swtpm does not start, where it is missing run hack/prepare test")]
    Tpm(#[source] io::Error),
    /// It was started, but does not run.
    #[error("QEMU does not run: {0}")]
    NotRunning(String),
    /// It cannot be controlled.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// A running virtual machine. It ends with this value, or with this process.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    qmp: Qmp,
    console: JoinSet<()>,
    _tpm: Option<Tpm>,
    /// Files of this boot only.
    _scratch: TempDir,
}

impl Running {
    /// Switches it on.
    pub(super) async fn start(vm: &Vm, hardware: &Hardware, boot: &Boot) -> Result<Self, VmError> {
        fs::create_dir_all(&vm.folder).await.map_err(VmError::Folder)?;
        let scratch = TempDir::new_in(&vm.folder).map_err(VmError::Folder)?;
        let disk = vm.folder.join("disk");
        make_disk(&disk).await.map_err(VmError::Folder)?;
        let flash = flash(vm, boot, scratch.path()).await?;
        let tpm = Tpm::of(vm, scratch.path()).await.map_err(VmError::Tpm)?;
        let socket = scratch.path().join("qmp");
        let listener = UnixListener::bind(&socket).map_err(VmError::Folder)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(&vm.qemu);
        let tpm_at = tpm.as_ref().map(Tpm::socket);
        command.args(boot.args(
            vm,
            hardware,
            Files { disk: &disk, variables: &flash, tpm: tpm_at },
        ));
        command.arg("-qmp").arg(format!("unix:{}", socket.display()));
        let (mut child, console) = spawn(command, vm)?;
        let qmp = match connect(&listener, &mut child).await {
            Ok(qmp) => qmp,
            Err(error) => {
                child.kill().await.ok(); // It may have ended.
                drain(console).await; // What it complained about is worth having.
                return Err(error);
            }
        };
        let mut running = Self { child, qmp, console, _tpm: tpm, _scratch: scratch };
        let status = running.qmp.execute("query-status").await?;
        if status["running"] != true {
            return Err(VmError::NotRunning(status.to_string()));
        }
        Ok(running)
    }

    /// The pid of QEMU.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Presses the button: the guest is asked to shut down.
    pub(super) async fn press_button(&mut self) -> Result<(), VmError> {
        self.qmp.execute("system_powerdown").await?;
        Ok(())
    }

    /// Resets without asking the guest: QEMU exits, and reports the reset.
    pub(super) async fn reset(&mut self) -> Result<(), VmError> {
        self.qmp.execute("system_reset").await?;
        Ok(())
    }

    /// The next event; `None` once QEMU has exited. Cancel safe.
    pub(super) async fn event(&mut self) -> Result<Option<Event>, VmError> {
        Ok(self.qmp.event().await?)
    }

    /// Cuts the power. Returns when the process is gone.
    pub(super) async fn cut_power(mut self) {
        if self.qmp.execute("quit").await.is_err() {
            self.child.start_kill().ok(); // It has ended already.
        }
        self.gone().await;
    }

    /// Waits until the process is gone, after it reported its end.
    pub(super) async fn gone(mut self) {
        if timeout(FAREWELL, self.child.wait()).await.is_err() {
            tracing::warn!(id = self.child.id(), "QEMU does not end, it is killed");
            self.child.kill().await.ok(); // It has ended meanwhile.
        }
        drain(self.console).await;
    }
}

/// Waits until everything that was printed is in the log.
async fn drain(mut console: JoinSet<()>) {
    while timeout(FAREWELL, console.join_next()).await.is_ok_and(|joined| joined.is_some()) {}
}

async fn make_disk(path: &Path) -> io::Result<()> {
    let file = File::options().create(true).append(true).open(path).await?;
    file.set_len(DISK).await
}

/// The file with the UEFI variables of this boot.
async fn flash(vm: &Vm, boot: &Boot, scratch: &Path) -> Result<PathBuf, VmError> {
    // What makes a boot be from a URL must not last.
    let lasts = vm.keeps_variables && boot.uri().is_none();
    let flash = if lasts { vm.folder.join("variables") } else { scratch.join("variables") };
    if boot.mode == BootMode::Uefi && !(lasts && fs::try_exists(&flash).await.unwrap_or_default()) {
        make_variables(vm, boot, &flash).await?;
    }
    Ok(flash)
}

async fn make_variables(vm: &Vm, boot: &Boot, to: &Path) -> Result<(), VmError> {
    let name = || vm.uefi_variables.display().to_string();
    let flash = fs::read(&vm.uefi_variables).await;
    let mut flash = flash.map_err(|error| VmError::Firmware(name(), error))?;
    let mut added = vm.trust.variables();
    added.extend(boot.uri().into_iter().flat_map(variables::boot_next_from));
    variables::add(&mut flash, &added)?;
    fs::write(to, flash).await.map_err(VmError::Folder)
}

/// Starts QEMU. Its standard output, which is the serial port, and its own messages go to the
/// console file.
fn spawn(mut command: Command, vm: &Vm) -> Result<(Child, JoinSet<()>), VmError> {
    let failed = |error| VmError::Start(vm.qemu.display().to_string(), error);
    let (reader, writer) = io::pipe().map_err(failed)?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let child = command.kill_on_drop(true).spawn().map_err(failed)?;
    // QEMU must be the only one to hold the other end.
    drop(command);
    let reader = Receiver::from_owned_fd(reader.into()).map_err(failed)?;
    let (mut console, path) = (JoinSet::new(), vm.console());
    console.spawn(async move {
        if let Err(error) = console::keep(reader, &path).await {
            tracing::warn!(%error, "the console is not kept");
        }
    });
    Ok((child, console))
}

/// Waits until QEMU connects; fails if it exits instead.
async fn connect(listener: &UnixListener, child: &mut Child) -> Result<Qmp, VmError> {
    let ended = |status: io::Result<ExitStatus>| {
        VmError::Ended(status.map_or_else(|error| error.to_string(), |it| it.to_string()))
    };
    tokio::select! {
        qmp = Qmp::accept(listener) => match qmp {
            Ok(qmp) => Ok(qmp),
            Err(error) => Err(timeout(FAREWELL, child.wait()).await.map_or(error.into(), ended)),
        },
        status = child.wait() => Err(ended(status)),
    }
}
