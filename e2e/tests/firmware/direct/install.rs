//! The installer alone, in QEMU without firmware: which disk it writes, and what is on it then.

use super::{
    machine::{MACS, Machine, common, words},
    netboot::{DISK_IMAGE, bare_disk, netboot_image},
};
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::{Path as Segment, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use e2e::{cluster::eventually, stack::sha256};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::AbortHandle};

const LIMIT: Duration = Duration::from_mins(10);
const TOKEN: &str = "token-of-this-installation";
/// The host, as the machine sees it.
const HOST: &str = "10.0.2.2";
/// Serial numbers and sizes.
const DISKS: [(&str, u64); 2] = [("DISK-A", 96 << 20), ("DISK-B", 160 << 20)];
/// What an installed system registers with.
const CREDENTIAL: &str = r#"{"credential":"secret of this machine"}"#;
/// Where the root of the disk image begins, in bytes.
const ROOT_AT: u64 = 1 << 20;
/// What is on the disks before.
const OLD: u8 = 0xdd;

#[tokio::test]
async fn a_disk_image_is_written_to_the_disk_that_is_named_and_to_no_other() {
    let lab = Lab::start(json!({ "serial": "DISK-B" })).await;
    let mut machine = lab.machine().await;
    machine.console_with("the machine restarts").await;
    // With -no-reboot, a restart ends QEMU.
    machine.is_off().await;
    let seconds = machine.since_power_on().as_secs_f64();
    println!("firmware: direct kernel: {seconds:.1} s from power-on to the end of an installation");
    assert!(lab.shared.done(), "{}", machine.console());
    assert!(!machine.console().contains(TOKEN), "a token is on the console: {}", machine.console());
    let phases: Vec<String> = lab.shared.told().iter().map(phase).collect();
    assert_eq!(phases, ["downloading", "writing", "configuring", "done"], "{phases:?}");
    assert!(lab.is_untouched("DISK-A"));
    let disk = lab.disk("DISK-B");
    let said = Command::new("/sbin/sfdisk").arg("--verify").arg(&disk).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("No errors detected"), "{said}");
    let table = Command::new("/sbin/sfdisk").arg("--json").arg(&disk).output().unwrap();
    let table: Value = serde_json::from_slice(&table.stdout).unwrap();
    let part = &table["partitiontable"]["partitions"][0];
    let (start, size) = (part["start"].as_u64().unwrap(), part["size"].as_u64().unwrap());
    assert_eq!(
        (start + size) * 512,
        DISKS[1].1 - (1 << 20),
        "the root ends with the disk: {table}"
    );
    let config = read_inside(&disk, start * 512, "/etc/cloud/cloud.cfg.d/90-bloomery.cfg");
    assert!(config.contains(&format!("seedfrom: \"http://{HOST}:8880/cloud-init/\"")), "{config}");
}

#[tokio::test]
async fn a_machine_with_two_disks_says_so_and_writes_to_neither() {
    let lab = Lab::start(Value::Null).await;
    let machine = lab.machine().await;
    let failed = lab.failure(&machine).await;
    for words in ["2 disks fit", "serial DISK-A", "serial DISK-B", "targetDisk"] {
        assert!(failed.contains(words), "{words} is missing in {failed}");
    }
    machine.console_with("not installed error=\"2 disks fit").await;
    assert!(lab.is_untouched("DISK-A") && lab.is_untouched("DISK-B"));
    assert!(!lab.shared.done());
}

#[tokio::test]
#[ignore = "takes longer: hack/test firmware"]
async fn an_image_without_cloud_init_leaves_a_disk_that_boots_nothing() {
    let lab = Lab::with(json!({ "serial": "DISK-B" }), bare_disk().await.unwrap()).await;
    let machine = lab.machine().await;
    let failed = lab.failure(&machine).await;
    assert!(failed.contains("there is no folder /etc/cloud in it"), "{failed}");
    // It loses its power while it is tried again, or just before.
    drop(machine);
    let disk = fs::read(lab.disk("DISK-B")).unwrap();
    let (code, signature) = (&disk[..2], &disk[510..512]);
    assert!(code == [0xcd, 0x18] || signature == [0, 0], "{code:?} {signature:?}");
    assert!(!lab.shared.done() && lab.is_untouched("DISK-A"));
}

#[tokio::test]
#[ignore = "takes longer: hack/test firmware"]
async fn a_rented_server_is_left_what_it_registers_with() {
    let image = fs::read(netboot_image().await.join(DISK_IMAGE)).unwrap();
    let rented = |order: &mut Value| {
        let fields = order.as_object_mut().unwrap();
        fields.remove("mac");
        fields.remove("cloudInit");
        fields.insert("host".to_owned(), json!("credential"));
    };
    let lab = Lab::ordered(json!({ "serial": "DISK-B" }), image, rented).await;
    let mut machine = lab.machine().await;
    machine.console_with("the machine restarts").await;
    machine.is_off().await;
    assert!(lab.shared.done() && !machine.console().contains(CREDENTIAL), "{}", machine.console());
    let left = read_inside(&lab.disk("DISK-B"), ROOT_AT, "/etc/bloomery/host.json");
    assert_eq!(left, CREDENTIAL);
}

fn phase(told: &Value) -> String {
    told["phase"].as_str().unwrap_or_default().to_owned()
}

/// What metalman would serve, and what was told.
struct Shared {
    order: Value,
    image: Vec<u8>,
    sums: String,
    told: Mutex<Vec<Value>>,
    done: Mutex<bool>,
}

impl Shared {
    /// Changes of the phase.
    fn told(&self) -> Vec<Value> {
        let mut told = self.told.lock().unwrap().clone();
        told.dedup_by_key(|it| phase(it));
        told
    }

    fn done(&self) -> bool {
        *self.done.lock().unwrap()
    }
}

struct Lab {
    folder: TempDir,
    port: u16,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lab {
    /// Two disks, and an order with these hints.
    async fn start(hints: Value) -> Self {
        let image = fs::read(netboot_image().await.join(DISK_IMAGE)).unwrap();
        Self::with(hints, image).await
    }

    /// The same with this disk image.
    async fn with(hints: Value, disk: Vec<u8>) -> Self {
        Self::ordered(hints, disk, |_| {}).await
    }

    /// The same with an order that `change` has changed.
    async fn ordered(hints: Value, disk: Vec<u8>, change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (serial, size) in DISKS {
            let size = usize::try_from(size).unwrap();
            fs::write(folder.path().join(serial), vec![OLD; size]).unwrap();
        }
        let mut order = json!({
            "machine": "node-01", "mac": [MACS[0]], "label": "node-01", "targetDisk": hints,
            "disk": { "url": DISK_IMAGE, "checksums": format!("{DISK_IMAGE}.sha256") },
            "cloudInit": format!("http://{HOST}:8880/cloud-init/"),
        });
        change(&mut order);
        let shared = Arc::new(Shared {
            order,
            sums: format!("{}  {DISK_IMAGE}\n", sha256(&disk)),
            image: disk,
            told: Mutex::default(),
            done: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route(&format!("/c/{TOKEN}/install/progress"), post(progress))
            .route(&format!("/c/{TOKEN}/pxe/disable"), post(disable))
            .route(&format!("/c/{TOKEN}/{{file}}"), get(file))
            .with_state(Arc::clone(&shared));
        let serve = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, port, shared, task: serve.abort_handle() }
    }

    /// Switches the machine on.
    async fn machine(&self) -> Machine {
        let image = netboot_image().await;
        let mut hardware = common(512);
        for (serial, _) in DISKS {
            let file = self.disk(serial);
            hardware.extend(words(&format!(
                "-drive file={},if=none,id={serial},format=raw,cache=unsafe \
                 -device virtio-blk-pci,drive={serial},serial={serial}",
                file.display()
            )));
        }
        let url = format!("http://{HOST}:{}/c/{TOKEN}", self.port);
        // As the image has it, the kernel does not print this line.
        let line =
            format!("console=ttyS0,115200 loglevel=5 nohz=off highres=off bloomery.install={url}");
        Machine::boot(&image, &line, &hardware).await
    }

    /// Why the installer fails.
    async fn failure(&self, machine: &Machine) -> String {
        let failed = eventually(LIMIT, async || {
            let told = self.shared.told();
            let failed =
                told.iter().find(|it| it["phase"] == "failed").context("no failure yet")?;
            Ok(failed["message"].as_str().context("no message")?.to_owned())
        });
        machine.told(machine.while_on(failed).await)
    }

    fn disk(&self, serial: &str) -> PathBuf {
        self.folder.path().join(serial)
    }

    fn is_untouched(&self, serial: &str) -> bool {
        fs::read(self.disk(serial)).unwrap().iter().all(|byte| *byte == OLD)
    }
}

async fn file(State(shared): State<Arc<Shared>>, Segment(name): Segment<String>) -> Response {
    match name.as_str() {
        "install.json" => shared.order.to_string().into_response(),
        DISK_IMAGE => shared.image.clone().into_response(),
        "credential" => CREDENTIAL.into_response(),
        name if name == format!("{DISK_IMAGE}.sha256") => shared.sums.clone().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn progress(State(shared): State<Arc<Shared>>, body: Bytes) -> StatusCode {
    match serde_json::from_slice(&body) {
        Ok(told) => {
            shared.told.lock().unwrap().push(told);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}

async fn disable(State(shared): State<Arc<Shared>>) {
    *shared.done.lock().unwrap() = true;
}

/// A file of the ext4 file system at this place of a disk.
fn read_inside(disk: &Path, start: u64, file: &str) -> String {
    let inside = || -> Result<String> {
        let (mut from, part) = (File::open(disk)?, tempfile::NamedTempFile::new()?);
        from.seek(SeekFrom::Start(start))?;
        let mut content = vec![];
        from.read_to_end(&mut content)?;
        fs::write(part.path(), content)?;
        let output = Command::new("/sbin/debugfs")
            .args(["-R", &format!("cat {file}")])
            .arg(part.path())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    inside().unwrap()
}
