use super::*;
use crate::{
    disk::{Disk, FileSystem, candidates},
    gpt::{ESP, Partition, WINDOW},
    testing::{ESP_TYPE, Image, LINUX_TYPE, is_wiped, mib},
};
use metalprobe::Root;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;

const SIZE: u64 = 32;
const URL: &str = "http://10.0.0.1:8880/cloud-init/";
const SEED: &str = "etc/cloud/cloud.cfg.d/90-bloomery.cfg";

#[test]
fn nothing_boots_before_cloud_init_knows_where_its_data_is() {
    let lab = Lab::new();
    assert!(lab.configure().unwrap().is_none(), "the firmware takes it");
    let steps = lab.steps();
    assert_eq!(
        steps,
        [("root", false), ("efi", true)],
        "what is mounted, and whether the disk boots"
    );
    assert!(lab.boots());
    assert!(fs::read_to_string(lab.part("root").join(SEED)).unwrap().contains(URL));
    let entries: Vec<_> =
        fs::read_dir(lab.variables()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(entries.len(), 2, "BootOrder and an entry: {entries:?}");
}

#[test]
fn nothing_boots_before_the_system_has_what_it_registers_with() {
    let mut lab = Lab::new();
    lab.seed = Seed { host: Some("secret".into()), ..Seed::default() };
    lab.configure().unwrap();
    assert_eq!(lab.steps(), [("root", false), ("efi", true)]);
    let file = lab.part("root").join("etc/bloomery/host.json");
    assert_eq!(fs::read_to_string(file).unwrap(), "secret");
    let mut lab = Lab::new();
    lab.seed = Seed { host: Some("secret".into()), ..Seed::default() };
    fs::remove_dir_all(lab.part("root").join("etc")).unwrap();
    let error = lab.configure().unwrap_err();
    assert!(matches!(error, ConfigureError::Seed(SeedError::NoEtc)), "{error:?}");
    assert!(!lab.boots());
}

#[test]
fn a_failure_of_cloud_inits_data_leaves_a_disk_that_boots_nothing_and_no_boot_entry() {
    let lab = Lab::new();
    fs::remove_dir_all(lab.part("root").join("etc/cloud")).unwrap();
    let error = lab.configure().unwrap_err();
    assert!(matches!(error, ConfigureError::Seed(SeedError::NoCloudInit)), "{error:?}");
    assert!(!lab.boots());
    assert_eq!(fs::read_dir(lab.variables()).unwrap().count(), 0);
}

#[test]
fn an_image_without_a_loader_or_a_place_for_it_leaves_a_disk_that_boots_nothing() {
    let lab = Lab::new();
    fs::remove_dir_all(lab.part("efi").join("EFI")).unwrap();
    let error = lab.configure().unwrap_err();
    assert!(matches!(error, ConfigureError::NoLoader(_)), "{error:?}");
    assert!(is_wiped(&lab.disk()[..WINDOW]));
    assert_eq!(fs::read_dir(lab.variables()).unwrap().count(), 0);

    let lab = Lab::with(&[(1, LINUX_TYPE, 2048, 4095)]);
    let error = lab.configure().unwrap_err();
    assert!(matches!(error, ConfigureError::Gpt(GptError::NoEsp)), "{error:?}");
    assert!(is_wiped(&lab.disk()[..WINDOW]));
}

#[test]
fn a_kernel_that_shows_no_partition_leaves_a_disk_that_boots_nothing() {
    for refused in ["root", "efi"] {
        let lab = Lab::new();
        fs::remove_dir_all(lab.part(refused)).unwrap();
        let error = lab.configure().unwrap_err();
        assert!(matches!(error, ConfigureError::Target(TargetError::NoPartition(..))), "{error:?}");
        assert!(!lab.boots(), "{refused}");
    }
}

#[test]
fn firmware_that_takes_no_boot_entry_is_told_and_the_disk_stays_whole() {
    let lab = Lab::new();
    // It cannot be read.
    let order = "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    fs::create_dir(lab.variables().join(order)).unwrap();
    let refused = lab.configure().unwrap().unwrap();
    assert!(matches!(refused, VariableError::Variable(..)), "{refused:?}");
    assert!(lab.boots());
    assert!(lab.part("root").join(SEED).exists());
}

#[test]
fn a_machine_without_uefi_and_an_order_without_cloud_init_need_neither() {
    let mut lab = Lab::new();
    fs::remove_dir_all(lab.variables()).unwrap();
    lab.seed.cloud_init = None;
    lab.configure().unwrap();
    assert!(lab.boots());
    assert_eq!(lab.steps(), []);
}

/// A machine with a disk, which is a file, and the partitions of it, which are folders.
struct Lab {
    folder: TempDir,
    seed: Seed,
    ends: Mutex<Option<DiskEnds>>,
    kernel: Fake,
}

/// A kernel that takes folders for partitions, and looks at the disk each time.
#[derive(Clone)]
struct Fake {
    disk: PathBuf,
    parts: PathBuf,
    seen: Arc<Mutex<Vec<(&'static str, bool)>>>,
}

impl Kernel for Fake {
    fn reread(&self, target: Target) -> Result<Disk, TargetError> {
        Ok(target.disk().clone())
    }

    fn mounted<T>(
        &self,
        _: &Root,
        _: &Disk,
        (partition, system): (&Partition, FileSystem),
        work: impl FnOnce(&Path) -> T,
    ) -> Result<T, TargetError> {
        let name = if system == ROOT { "root" } else { "efi" };
        let disk = self.disk();
        assert!(shows(&disk, partition), "{name} does not show");
        let place = self.parts.join(name);
        if !place.exists() {
            return Err(TargetError::NoPartition("vda".to_owned(), partition.number));
        }
        self.note(name, boots(&disk));
        Ok(work(&place))
    }
}

impl Fake {
    fn disk(&self) -> Vec<u8> {
        fs::read(&self.disk).unwrap()
    }

    fn note(&self, name: &'static str, boots: bool) {
        self.seen.lock().unwrap().push((name, boots));
    }
}

fn target(root: &Root) -> Target {
    Target::open(root, &candidates(root)[0]).unwrap()
}

fn shows(disk: &[u8], partition: &Partition) -> bool {
    let table = Table::read(&disk[..WINDOW], 512, mib(SIZE) / 512).unwrap();
    table.partitions().any(|it| it == *partition)
}

/// Whether firmware finds code or a loader.
fn boots(disk: &[u8]) -> bool {
    let Ok(table) = Table::read(&disk[..WINDOW], 512, mib(SIZE) / 512) else { return false };
    let has_code = disk[..5] == [0x90; 5];
    has_code || table.partitions().any(|it| it.kind == ESP)
}

impl Lab {
    fn new() -> Self {
        Self::with(&[(1, LINUX_TYPE, 2048, 4095), (15, ESP_TYPE, 4096, 6143)])
    }

    fn with(parts: &[crate::testing::Part]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::new(4, parts);
        let mut table = Table::read(image.head(), 512, mib(SIZE) / 512).unwrap();
        table.grow();
        let disk = image.on_a_disk(SIZE, &table);
        let (head, tail) = (disk[..WINDOW].to_vec(), disk[disk.len() - WINDOW..].to_vec());
        let ends = Mutex::new(Some(DiskEnds::new(head, tail, table)));
        for path in [
            "dev",
            "sys/block/vda",
            "sys/firmware/efi/efivars",
            "parts/root/etc/cloud",
            "parts/efi/EFI/BOOT",
        ] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        let at = |path: &str| folder.path().join(path);
        fs::write(at("dev/vda"), vec![0; disk.len()]).unwrap();
        fs::write(at("sys/block/vda/serial"), "SN").unwrap();
        fs::write(at("sys/block/vda/size"), (mib(SIZE) / 512).to_string()).unwrap();
        for loader in ["BOOTX64.EFI", "BOOTAA64.EFI"] {
            fs::write(at("parts/efi/EFI/BOOT").join(loader), b"MZ").unwrap();
        }
        let kernel = Fake { disk: at("dev/vda"), parts: at("parts"), seen: Arc::default() };
        let seed = Seed { cloud_init: Some(URL.to_owned()), ..Seed::default() };
        Self { folder, seed, ends, kernel }
    }

    fn configure(&self) -> Result<Option<VariableError>, ConfigureError> {
        let root = Root::new(self.folder.path());
        let written = Written { target: target(&root), ends: self.ends() };
        configure(&root, &self.kernel, ("node-01", &self.seed), written)
    }

    fn ends(&self) -> DiskEnds {
        self.ends.lock().unwrap().take().unwrap()
    }

    fn steps(&self) -> Vec<(&'static str, bool)> {
        self.kernel.seen.lock().unwrap().clone()
    }

    fn part(&self, name: &str) -> PathBuf {
        self.kernel.parts.join(name)
    }

    fn variables(&self) -> PathBuf {
        self.folder.path().join("sys/firmware/efi/efivars")
    }

    fn disk(&self) -> Vec<u8> {
        self.kernel.disk()
    }

    fn boots(&self) -> bool {
        boots(&self.disk())
    }
}
