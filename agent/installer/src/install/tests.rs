use super::*;
use crate::{
    disk_writer::SinkError,
    fetch::Base,
    gpt::Table,
    testing::{self, LINUX_TYPE, is_wiped, mib},
    timeouts::QUICK,
};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const ORDER: &str = r#"{"machine":"node-01","mac":["52:54:00:00:00:01"],"label":"node-01",
    "disk":{"url":"disk.img","checksums":"disk.img.sha256"},"targetDisk":{"serial":"SN-vdb"}}"#;

#[test]
fn the_last_word_on_the_command_line_counts() {
    let lab = Machine::new(&[]);
    assert_eq!(base(&lab.root()), None);
    for (line, expected) in [
        ("quiet", None),
        ("bloomery.install=", None),
        ("bloomery.install=http://a/c/x quiet", Some("http://a/c/x")),
        ("bloomery.install=http://a bloomery.install=http://b/c/y", Some("http://b/c/y")),
        ("xbloomery.install=http://a", None),
    ] {
        lab.write("/proc/cmdline", line.as_bytes());
        assert_eq!(base(&lab.root()).as_deref(), expected, "{line}");
    }
}

#[tokio::test]
async fn the_disk_that_is_named_is_written_and_the_other_is_left_alone() {
    let machine = Machine::new(&["vda", "vdb"]);
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let metalman = Metalman::start(ORDER, &image.bytes, &image.bytes).await;
    assert_eq!(metalman.attempt(&machine).await.unwrap().serial, "SN-vdb");
    assert_eq!(machine.disk("vda"), old());
    let table = Table::read(&machine.disk("vdb")[..1 << 20], 512, mib(16) / 512).unwrap();
    assert_eq!(table.partitions().next().unwrap().last, mib(15) / 512 - 1);
    assert_eq!(metalman.phases(), ["writing", "configuring", "done"]);
}

#[tokio::test]
async fn nothing_is_written_unless_everything_is_clear() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let any = ORDER.replace(r#"{"serial":"SN-vdb"}"#, "null");
    for (what, order, words) in [
        ("two disks fit", any, "2 disks fit"),
        ("none fits", ORDER.replace("SN-vdb", "SN-x"), "no disk fits"),
        ("another machine", ORDER.replace("00:01", "00:02"), "another machine than node-01"),
        ("no order", "{".to_owned(), "install.json"),
        ("a field of a later version", ORDER.replace("label", "title"), "install.json"),
        (
            "nothing to register with",
            ORDER.replace("\"label\"", "\"host\":\"missing\",\"label\""),
            "what the installed system registers with cannot be fetched",
        ),
        ("no such list", ORDER.replace("disk.img.sha256", "missing"), "the list of checksums"),
        (
            "not in the list",
            ORDER.replace("\"disk.img\"", "\"other.img\""),
            "do not have the disk image",
        ),
    ] {
        let machine = Machine::new(&["vda", "vdb"]);
        let metalman = Metalman::start(&order, &image.bytes, &image.bytes).await;
        let error = metalman.attempt(&machine).await.unwrap_err();
        let error = Chain(&error).to_string();
        assert!(error.contains(words), "{what}: {error}");
        assert!(!error.contains("token"), "{what}: {error}");
        assert_eq!(machine.disk("vda"), old(), "{what}");
        assert_eq!(machine.disk("vdb"), old(), "{what}");
        assert!(!metalman.phases().contains(&"writing".to_owned()), "{what}");
    }
}

#[tokio::test]
async fn an_image_that_is_not_the_one_that_is_meant_leaves_a_disk_that_boots_nothing() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let mut other = image.clone();
    other.bytes[3 << 20] ^= 1;
    let machine = Machine::new(&["vdb"]);
    let metalman = Metalman::start(ORDER, &other.bytes, &image.bytes).await;
    let error = metalman.attempt(&machine).await.unwrap_err();
    assert!(matches!(error, InstallError::Image(ImageError::Checksum { .. })), "{error:?}");
    let disk = machine.disk("vdb");
    assert!(is_wiped(&disk[..1 << 20]) && is_wiped(&disk[15 << 20..]));
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told_and_the_disk_keeps_what_it_has() {
    let order = ORDER.replace("\"disk.img\"", "\"gone/disk.img\"");
    let machine = Machine::new(&["vdb"]);
    let metalman = Metalman::start(&order, b"", b"").await;
    let error = Chain(&metalman.attempt(&machine).await.unwrap_err()).to_string();
    assert!(error.contains("404 Not Found") && !error.contains("token"), "{error}");
    assert_eq!(machine.disk("vdb"), old());
}

#[tokio::test]
async fn a_failure_is_told_and_tried_again_until_the_order_is_right() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let order = ORDER.replace("SN-vdb", "SN-x");
    let machine = Machine::new(&["vda", "vdb"]);
    let metalman = Metalman::start(&order, &image.bytes, &image.bytes).await;
    let root = machine.root();
    tokio::select! {
        end = install(&root, &metalman.client) => panic!("{end:?}"),
        () = async { while metalman.failures().len() < 3 { sleep(Duration::from_millis(50)).await } } => {}
    }
    assert!(metalman.failures()[2].contains("SN-vda"), "{:?}", metalman.failures());
    metalman.refuse();
    let end = install(&root, &metalman.client).await;
    assert_eq!(end, End::Reboot, "it is not due any more");
    assert_eq!(machine.disk("vdb"), old());
}

#[tokio::test]
async fn a_machine_does_not_restart_before_it_was_heard_that_it_is_installed() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let machine = Machine::new(&["vdb"]);
    let metalman = Metalman::start(ORDER, &image.bytes, &image.bytes).await;
    metalman.files.lock().unwrap().deaf = 40;
    let end = install(&machine.root(), &metalman.client).await;
    assert_eq!((end, metalman.files.lock().unwrap().deaf), (End::Reboot, 0));
    let told: InstallDone = serde_json::from_slice(&metalman.files.lock().unwrap().done).unwrap();
    assert_eq!(told.disk.unwrap().serial, "SN-vdb");
    assert_eq!(metalman.phases(), ["downloading", "writing", "configuring", "done"]);
}

#[tokio::test]
async fn a_machine_that_nobody_knows_any_more_restarts_once_that_is_certain() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let machine = Machine::new(&["vdb"]);
    let metalman = Metalman::start(ORDER, &image.bytes, &image.bytes).await;
    metalman.files.lock().unwrap().forgets = true;
    assert_eq!(install(&machine.root(), &metalman.client).await, End::Reboot);
    assert_eq!(metalman.phases(), ["downloading", "writing", "configuring", "done"]);
}

#[tokio::test]
async fn an_image_of_no_use_is_written_again_once_it_is_another_one() {
    let image = testing::Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
    let mut other = image.clone();
    other.bytes[3 << 20] ^= 1;
    let machine = Machine::new(&["vdb"]);
    let metalman = Metalman::start(ORDER, &other.bytes, &image.bytes).await;
    let root = machine.root();
    let mut installed = std::pin::pin!(install(&root, &metalman.client));
    tokio::select! {
        end = &mut installed => panic!("{end:?}"),
        () = async { while metalman.asked("install.json") < 10 { sleep(Duration::from_millis(5)).await } } => {}
    }
    assert_eq!(metalman.asked("disk.img"), 1, "the same would come of it");
    // The one that is there is the one that is meant.
    metalman.files.lock().unwrap().served[1].1 = list(&other.bytes);
    assert_eq!(installed.await, End::Reboot);
    assert_eq!(metalman.asked("disk.img"), 2);
}

#[tokio::test]
async fn only_documents_other_than_those_that_were_followed_end_the_wait() {
    let metalman = Metalman::start(ORDER, b"image", b"image").await;
    let client = &metalman.client;
    let (reporter, soon) = (Reporter::new(client), Duration::from_mins(1));
    let known = documents(client).await.unwrap();
    let mut wait = std::pin::pin!(another(client, &reporter, "of no use", &known));
    for is_down in [false, true, false] {
        metalman.files.lock().unwrap().is_down = is_down;
        let asked = metalman.asked("install.json") + 5;
        tokio::select! {
            () = &mut wait => panic!("down: {is_down}"),
            () = async { while metalman.asked("install.json") < asked { sleep(Duration::from_millis(5)).await } } => {}
        }
    }
    metalman.files.lock().unwrap().served[1].1 = list(b"other");
    tokio::time::timeout(soon, wait).await.unwrap();
    // It was corrected while the image was written.
    let wait = another(client, &reporter, "of no use", &known);
    tokio::time::timeout(soon, wait).await.unwrap();
    let known = documents(client).await.unwrap();
    metalman.refuse();
    let wait = another(client, &reporter, "of no use", &known);
    tokio::time::timeout(soon, wait).await.unwrap();
}

#[test]
fn what_a_disk_or_the_kernel_refuses_is_not_of_the_image() {
    let io = || std::io::Error::other("it fails");
    let target = TargetError::Open("vda".to_owned(), io());
    let checksum = ImageError::Checksum { found: "a".to_owned(), expected: "b".to_owned() };
    for (error, is_of_the_image) in [
        (InstallError::from(checksum), true),
        (InstallError::from(ImageError::Content(io())), true),
        (InstallError::from(ImageError::Content(std::io::Error::from_raw_os_error(5))), false),
        (InstallError::from(ConfigureError::NoLoader("BOOTX64.EFI")), true),
        (InstallError::from(ImageError::Disk(SinkError::Differs(1))), false),
        (InstallError::from(ConfigureError::Disk(SinkError::Disk("written", io()))), false),
        (InstallError::from(ConfigureError::Target(target)), false),
    ] {
        assert_eq!(error.is_of_the_image(), is_of_the_image, "{error}");
    }
}

#[test]
fn what_a_person_should_know_of_a_disk_that_is_whole_is_one_line() {
    assert_eq!(note(None, &[]), "");
    let error = VariableError::Full;
    let told = note(Some(&error), &["vda".to_owned(), "vdb".to_owned()]);
    assert!(told.starts_with("the disk is whole, but the firmware does not take"), "{told}");
    assert!(told.contains("; and partitions of vda, vdb have the same GUIDs"), "{told}");
}

/// A machine with disks, each a file of 16 MiB.
struct Machine(TempDir);

impl Machine {
    fn new(disks: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("/sys/class/net/lo/address", b"00:00:00:00:00:00\n");
        machine.write("/sys/class/net/eth0/address", b"52:54:00:00:00:01\n");
        for disk in disks {
            machine.plug_in(disk);
        }
        machine
    }

    fn plug_in(&self, disk: &str) {
        self.write(&format!("/dev/{disk}"), &old());
        self.write(&format!("/sys/block/{disk}/serial"), format!("SN-{disk}").as_bytes());
        self.write(&format!("/sys/block/{disk}/size"), (mib(16) / 512).to_string().as_bytes());
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn disk(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join("dev").join(name)).unwrap()
    }

    fn root(&self) -> Root {
        Root::new(self.0.path())
    }
}

/// What was on a disk before.
fn old() -> Vec<u8> {
    vec![0xdd; 16 << 20]
}

/// The checksums of this image.
fn list(image: &[u8]) -> Vec<u8> {
    let sum = ring::digest::digest(&ring::digest::SHA256, image);
    format!("{}  disk.img\n", metal_base::hex(sum.as_ref())).into_bytes()
}

/// Files by name, what was posted, and whether all is refused.
#[derive(Default)]
struct Files {
    served: Vec<(&'static str, Vec<u8>)>,
    /// What was asked for.
    paths: Vec<String>,
    posted: Vec<serde_json::Value>,
    /// What was last said at the end.
    done: Vec<u8>,
    refuses: bool,
    /// Whether it does not answer at the moment.
    is_down: bool,
    /// How often it is not heard that it is done.
    deaf: usize,
    /// Whether the machine is unknown when it is done.
    forgets: bool,
}

/// What serves an installation.
struct Metalman {
    client: Client,
    files: Arc<Mutex<Files>>,
    task: JoinHandle<()>,
}

impl Drop for Metalman {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Metalman {
    /// Serves this order and this image, with the checksum of the one that is meant.
    async fn start(order: &str, image: &[u8], meant: &[u8]) -> Self {
        let served = vec![
            ("install.json", order.as_bytes().to_vec()),
            ("disk.img.sha256", list(meant)),
            ("disk.img", image.to_vec()),
        ];
        let files = Arc::new(Mutex::new(Files { served, ..Files::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/c/token", listener.local_addr().unwrap());
        let client =
            Client::new(url.parse::<Base>().unwrap(), Path::new("/nowhere"), QUICK).unwrap();
        let shared = Arc::clone(&files);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { client, files, task }
    }

    async fn attempt(&self, machine: &Machine) -> Result<InstalledDisk, InstallError> {
        attempt(&machine.root(), &self.client, &Reporter::new(&self.client), &Linux, &mut None)
            .await
    }

    fn refuse(&self) {
        self.files.lock().unwrap().refuses = true;
    }

    fn phases(&self) -> Vec<String> {
        let posted = self.files.lock().unwrap().posted.clone();
        posted.iter().map(|it| it["phase"].as_str().unwrap().to_owned()).collect()
    }

    /// How often this was asked for.
    fn asked(&self, name: &str) -> usize {
        let files = self.files.lock().unwrap();
        files.paths.iter().filter(|path| path.as_str() == name).count()
    }

    fn failures(&self) -> Vec<String> {
        let posted = self.files.lock().unwrap().posted.clone();
        let failed = posted.iter().filter(|it| it["phase"] == "failed");
        failed.map(|it| it["message"].as_str().unwrap().to_owned()).collect()
    }
}

async fn serve(mut stream: TcpStream, files: Arc<Mutex<Files>>) {
    let (mut text, mut piece) = (vec![], [0; 4096]);
    let whole = |text: &[u8]| {
        let end = text.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(text[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |it| it.parse().unwrap());
        (text.len() >= end + length).then(|| (head, text[end..].to_vec()))
    };
    let (head, body) = loop {
        if let Some(whole) = whole(&text) {
            break whole;
        }
        let length = stream.read(&mut piece).await.unwrap();
        text.extend_from_slice(&piece[..length]);
    };
    let path = head.split(' ').nth(1).unwrap().strip_prefix("/c/token/").unwrap().to_owned();
    let (status, content) = {
        let mut files = files.lock().unwrap();
        files.paths.push(path.clone());
        if path == "install/progress" {
            files.posted.push(serde_json::from_slice(&body).unwrap());
        } else if path == "pxe/disable" {
            files.done = body;
        }
        let found = files.served.iter().find(|(name, _)| *name == path);
        match found {
            _ if files.refuses => ("403 Forbidden", b"not due".to_vec()),
            _ if files.is_down => ("503 Service Unavailable", vec![]),
            Some((_, content)) => ("200 OK", content.clone()),
            None if path == "pxe/disable" && files.forgets => ("404 Not Found", vec![]),
            None if path == "pxe/disable" && files.deaf > 0 => {
                files.deaf -= 1;
                ("503 Service Unavailable", vec![])
            }
            None if path == "install/progress" || path == "pxe/disable" => ("200 OK", vec![]),
            None => ("404 Not Found", vec![]),
        }
    };
    let length = content.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.ok();
    stream.write_all(&content).await.ok();
}
