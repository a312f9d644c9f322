//! A virtual machine that starts a kernel without firmware, in QEMU's user network.

use crate::{image::image, logs::tail};
use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::{eventually, workspace};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::timeout,
};

pub(super) const UUID: &str = "0b3e2f6c-1122-4455-8899-aabbccddeeff";
pub(super) const MACS: [&str; 2] = ["02:00:00:00:00:01", "02:00:00:00:00:02"];
pub(super) const MEMORY: i64 = 256 << 20;
/// Serial number, QEMU device, and size; ordered by serial number.
pub(super) const DISKS: [(&str, &str, u64); 3] = [
    ("DISK-BLK", "virtio-blk-pci", 3 << 30),
    ("DISK-NVME", "nvme", 2 << 30),
    ("DISK-SCSI", "scsi-hd", 1 << 30),
];

const LIMIT: Duration = Duration::from_mins(10);
/// One at a time: without KVM, each keeps a core busy.
static TURNS: Semaphore = Semaphore::const_new(1);

/// A machine that was switched on.
pub(super) struct Machine {
    folder: TempDir,
    qemu: Mutex<Child>,
    on: Instant,
    _turn: SemaphorePermit<'static>,
}

impl Machine {
    /// Starts the discovery image with this command line.
    pub(super) async fn start(command_line: &str) -> Self {
        Self::boot(&image().await.join("amd64"), command_line, &hardware()).await
    }

    /// Starts the kernel in a folder, with this command line, on this hardware.
    pub(super) async fn boot(image: &Path, command_line: &str, hardware: &[String]) -> Self {
        let turn = TURNS.acquire().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(emulator().await.unwrap());
        command.args(hardware).current_dir(folder.path());
        command.arg("-kernel").arg(image.join("vmlinuz"));
        command.arg("-initrd").arg(image.join("initrd")).args(["-append", command_line]);
        let log = fs::File::create(folder.path().join("qemu.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let on = Instant::now();
        let qemu = command.kill_on_drop(true).spawn().unwrap();
        Self { folder, qemu: Mutex::new(qemu), on, _turn: turn }
    }

    pub(super) fn since_power_on(&self) -> Duration {
        self.on.elapsed()
    }

    /// The output on its serial line.
    pub(super) fn console(&self) -> String {
        let read = |name| fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&[read("console.log"), read("qemu.log")].concat()).into_owned()
    }

    /// Unwraps a result, with the end of the console in the error.
    pub(super) fn told<T>(&self, result: Result<T>) -> T {
        result.with_context(|| tail(&self.console())).unwrap()
    }

    /// The output on its serial line, once it contains `words`.
    pub(super) async fn console_with(&self, words: &str) -> String {
        let look = || {
            let console = self.console();
            ensure!(console.contains(words), "no {words:?} on the console");
            Ok(console)
        };
        let found = self.while_on(eventually(LIMIT, async || look())).await;
        // It may have been its last line.
        self.told(found.or_else(|error| look().map_err(|_| error)))
    }

    /// What is waited for, unless QEMU ends before.
    pub(super) async fn while_on<T>(&self, wanted: impl Future<Output = Result<T>>) -> Result<T> {
        let mut qemu = self.qemu.lock().await;
        tokio::select! {
            biased;
            wanted = wanted => wanted,
            ended = qemu.wait() => bail!("QEMU has ended: {}", ended?),
        }
    }

    /// Presses keys together.
    pub(super) async fn keys(&self, keys: &[&str]) {
        let keys: Vec<_> = keys.iter().map(|key| json!({ "type": "qcode", "data": key })).collect();
        self.execute(json!({ "execute": "send-key", "arguments": { "keys": keys } }))
            .await
            .unwrap();
    }

    /// Sends a command to QEMU's monitor.
    pub(super) async fn qmp(&self, command: &str) {
        self.execute(json!({ "execute": command })).await.unwrap();
    }

    async fn execute(&self, command: Value) -> Result<()> {
        let stream = UnixStream::connect(self.folder.path().join("qmp")).await?;
        let mut stream = BufReader::new(stream);
        for command in [json!({ "execute": "qmp_capabilities" }), command] {
            stream.write_all(command.to_string().as_bytes()).await?;
            answer(&mut stream).await.with_context(|| command.to_string())?;
        }
        Ok(())
    }

    /// Waits until it is off.
    pub(super) async fn is_off(&mut self) {
        let ended = timeout(LIMIT, self.qemu.get_mut().wait()).await;
        let ended = ended.context("it is still on").and_then(|status| Ok(status?));
        assert!(self.told(ended).success(), "{}", self.console());
    }
}

/// Reads the answer to a command, skipping greetings and events.
async fn answer(stream: &mut BufReader<UnixStream>) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        let length = timeout(LIMIT, stream.read_line(&mut line)).await??;
        ensure!(length > 0, "qemu closed its monitor");
        let message: Value = serde_json::from_str(&line)?;
        if message.get("return").is_some() {
            return Ok(());
        }
        ensure!(message.get("error").is_none(), "{message}");
    }
}

fn hardware() -> Vec<String> {
    let disks = DISKS.iter().map(|(serial, device, size)| {
        format!(
            "-blockdev null-co,node-name={serial},size={size},read-zeroes=on \
             -device {device},drive={serial},serial={serial}"
        )
    });
    let parts: Vec<_> = disks.collect();
    [common(MEMORY >> 20), words(&parts.join(" "))].concat()
}

/// A machine with two network adapters, and so many MiB of memory.
///
/// One thread for both of its processors: with one for each, QEMU 10.0 now and then ends with a failed assertion
/// (`msix_table_mmio_write`) while Linux looks for devices.
pub(super) fn common(memory: i64) -> Vec<String> {
    let common = format!(
        "-machine q35 -accel tcg,thread=single -cpu max -m {memory} -smp 2,sockets=2 -nodefaults \
         -display none -no-reboot -serial file:console.log -qmp unix:qmp,server=on,wait=off \
         -uuid {UUID} -smbios type=1,manufacturer=Bloomery,product=Virtual,serial=SN-1 \
         -smbios type=2,serial=BOARD-1 -device virtio-rng-pci -device virtio-scsi-pci"
    );
    let nics = MACS.iter().enumerate().map(|(n, mac)| {
        format!("-netdev user,id=n{n} -device virtio-net-pci,netdev=n{n},mac={mac},romfile=")
    });
    let parts: Vec<_> = std::iter::once(common).chain(nics).collect();
    words(&parts.join(" "))
}

/// Arguments, which have no spaces in them.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Path of QEMU.
async fn emulator() -> Result<String> {
    let output = Command::new(workspace().join("hack/qemu")).output().await?;
    let (printed, said) =
        (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr));
    let path = printed.lines().find_map(|line| line.strip_prefix("qemu="));
    path.map(str::to_owned).with_context(|| format!("no QEMU: {}", said.trim()))
}
