//! The disk that is written to, opened so that nobody else uses it in the meantime.

use super::Candidate;
use crate::{disk_writer::TargetDisk, gpt::Partition};
use metalprobe::Root;
use nix::{
    libc::O_EXCL,
    mount::{MsFlags, mount, umount},
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    thread::park_timeout,
    time::{Duration, Instant},
};

/// How long the kernel may take to make a partition available.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(50);
/// File systems that a root may have.
pub(crate) const ROOT: FileSystem =
    FileSystem { kinds: &["ext4", "xfs", "btrfs"], flags: MsFlags::empty() };
/// The file system of an EFI system partition (UEFI 2.10, section 13.3); nothing is written to it.
pub(crate) const EFI: FileSystem = FileSystem { kinds: &["vfat"], flags: MsFlags::MS_RDONLY };
const MOUNT_POINT: &str = "/run/installed";

/// Why a disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// It is in use, or fails.
    #[error("disk {0} cannot be opened; is it in use?")]
    Open(String, #[source] io::Error),
    /// The kernel does not accept the new partition table.
    #[error("the kernel does not read the new partition table of {0}")]
    Reread(String, #[source] Box<gptman::linux::BlockError>),
    /// A partition does not appear.
    #[error("partition {1} of {0} does not show")]
    NoPartition(String, u32),
    /// It has no known file system.
    #[error("partition {1} of {0} cannot be mounted as {2}")]
    Mount(String, u32, String, #[source] io::Error),
    /// It is still in use afterwards.
    #[error("partition {1} of {0} cannot be unmounted")]
    Unmount(String, u32, #[source] io::Error),
}

/// The file systems that a partition may have, and the flags that it is mounted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    kinds: &'static [&'static str],
    flags: MsFlags,
}

/// An open disk.
#[derive(Debug)]
pub(crate) struct Target {
    disk: Disk,
    file: File,
}

/// A disk that is not open.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    name: String,
    size: u64,
    sector: u64,
}

impl Target {
    /// Opens a disk exclusively.
    ///
    /// # Errors
    ///
    /// If it is in use.
    pub(crate) fn open(root: &Root, disk: &Candidate) -> Result<Self, TargetError> {
        Disk { name: disk.name.clone(), size: disk.size, sector: disk.sector }.open(root)
    }

    /// Its description.
    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What an image is written to.
    pub(crate) fn place(&self) -> TargetDisk<'_> {
        TargetDisk { disk: &self.file, size: self.disk.size, sector: self.disk.sector }
    }
}

impl Disk {
    /// Opens it exclusively.
    ///
    /// # Errors
    ///
    /// If it is in use.
    pub(crate) fn open(self, root: &Root) -> Result<Target, TargetError> {
        let mut options = OpenOptions::new();
        // Of a block device: fails if it, or a part of it, is mounted or held (open(2)).
        options.read(true).write(true).custom_flags(O_EXCL);
        let file = options.open(root.below("/dev").join(&self.name));
        let file = file.map_err(|error| TargetError::Open(self.name.clone(), error))?;
        Ok(Target { disk: self, file })
    }
}

/// Operations on the partitions of a disk that need a kernel.
pub(crate) trait Kernel: Clone + Send + 'static {
    /// Reads the partition table of a disk again, which is closed for that.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    fn reread(&self, target: Target) -> Result<Disk, TargetError>;

    /// Mounts a partition while `work` is done, with its root folder.
    ///
    /// # Errors
    ///
    /// If it cannot be mounted, or unmounted afterwards; else what `work` returns.
    fn mounted<T>(
        &self,
        root: &Root,
        disk: &Disk,
        partition: (&Partition, FileSystem),
        work: impl FnOnce(&Path) -> T,
    ) -> Result<T, TargetError>;
}

/// The kernel that this machine runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linux;

impl Kernel for Linux {
    fn reread(&self, target: Target) -> Result<Disk, TargetError> {
        let Target { disk, mut file } = target;
        gptman::linux::reread_partition_table(&mut file)
            .map_err(|error| TargetError::Reread(disk.name.clone(), Box::new(error)))?;
        Ok(disk)
    }

    fn mounted<T>(
        &self,
        root: &Root,
        Disk { name, .. }: &Disk,
        (partition, system): (&Partition, FileSystem),
        work: impl FnOnce(&Path) -> T,
    ) -> Result<T, TargetError> {
        let number = partition.number;
        let device = shown(root, name, number)?;
        let place = Path::new(MOUNT_POINT);
        attach(&device, place, system).map_err(|error| {
            TargetError::Mount(name.clone(), number, system.kinds.join(" or "), error)
        })?;
        let result = work(place);
        let unmounted = umount(place);
        unmounted.map_err(|error| TargetError::Unmount(name.clone(), number, error.into()))?;
        Ok(result)
    }
}

/// The device of a partition, once there is one.
fn shown(root: &Root, disk: &str, number: u32) -> Result<PathBuf, TargetError> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = device(root, disk, number);
        if let Some(path) = found.filter(|path| path.exists()) {
            return Ok(path);
        }
        if Instant::now() >= end {
            return Err(TargetError::NoPartition(disk.to_owned(), number));
        }
        park_timeout(LOOK);
    }
}

fn device(root: &Root, disk: &str, number: u32) -> Option<PathBuf> {
    let folder = format!("/sys/block/{disk}");
    let is_it = |name: &String| root.number(&format!("{folder}/{name}/partition")) == Some(number);
    let name = root.folders(&folder).into_iter().find(is_it)?;
    Some(root.below("/dev").join(name))
}

fn attach(device: &Path, place: &Path, system: FileSystem) -> io::Result<()> {
    fs::create_dir_all(place)?;
    let flags = system.flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mut last = io::Error::from(io::ErrorKind::Unsupported);
    for kind in system.kinds {
        match mount(Some(device), place, Some(*kind), flags, None::<&str>) {
            Ok(()) => return Ok(()),
            // Not of this kind, or the kernel has no driver for it.
            Err(nix::Error::EINVAL | nix::Error::ENODEV) => {}
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_by_its_number_and_not_by_its_name() {
        let tree = tempfile::tempdir().unwrap();
        for (disk, part, number) in
            [("sda", "sda1", "1"), ("nvme0n1", "nvme0n1p1", "1"), ("nvme0n1", "nvme0n1p14", "14")]
        {
            let folder = tree.path().join("sys/block").join(disk).join(part);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("partition"), number).unwrap();
        }
        let root = Root::new(tree.path());
        let found = |disk, number| {
            device(&root, disk, number).map(|it| it.strip_prefix(tree.path()).unwrap().to_owned())
        };
        assert_eq!(found("sda", 1), Some("dev/sda1".into()));
        assert_eq!(found("nvme0n1", 14), Some("dev/nvme0n1p14".into()));
        assert_eq!(found("nvme0n1", 2), None);
        assert_eq!(found("sdb", 1), None);
    }
}
