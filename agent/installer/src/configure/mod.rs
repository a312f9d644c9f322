//! Makes what was written to a disk this machine's own, in an order in which the disk boots nothing before.
//!
//! ```text
//!  one partition shows ─► its seed ─► both ends: it boots ─► its loader is there ─► boot entry
//!            │               │                                    │
//!            └──── fails ────┴──► it boots nothing ◄─ fails: wiped ─┘
//! ```
//!
//! A refusal of the firmware comes last, and is no failure: the disk is whole then, and boots wherever firmware
//! looks by itself. Writing it again would not change what the firmware says.

use crate::{
    disk::{EFI, Kernel, ROOT, Target, TargetError},
    disk_ends::{self, DiskEnds},
    disk_writer::SinkError,
    efi::{self, Loader, VariableError},
    gpt::{GptError, Needs, Table, esp, root as root_of},
    seed::{Seed, SeedError},
};
use metalprobe::Root;
use std::env::consts::ARCH;

const VARIABLES: &str = "/sys/firmware/efi/efivars";

/// Why the system on a disk cannot be configured for this machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigureError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Disk(#[from] SinkError),
    #[error(transparent)]
    Gpt(#[from] GptError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(
        "the EFI system partition of the disk image has no {0}, which is what the machine would boot"
    )]
    NoLoader(&'static str),
}

/// A disk with a complete image, except for both ends of the disk.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) target: Target,
    pub(crate) ends: DiskEnds,
}

/// What an image needs for this machine, and for the files that are left to its system.
pub(crate) fn needs(root: &Root, seed: &Seed) -> Needs {
    Needs { root: !seed.is_empty(), esp: root.has(VARIABLES) }
}

/// Configures and completes a disk on which everything but its ends is written, and has what this machine
/// needs. Returns why the firmware has no boot entry for it, if it takes none.
///
/// # Errors
///
/// If it cannot be; the disk boots nothing then.
pub(crate) fn configure(
    root: &Root,
    kernel: &impl Kernel,
    (label, seed): (&str, &Seed),
    written: Written,
) -> Result<Option<VariableError>, ConfigureError> {
    let Written { target, ends } =
        if seed.is_empty() { written } else { written.seeded(root, kernel, seed)? };
    let table = ends.seal(target.place())?;
    if !root.has(VARIABLES) {
        return Ok(None);
    }
    let disk = target.disk().clone();
    match loader(root, kernel, target, &table) {
        Ok(loader) => Ok(efi::register(&root.below(VARIABLES), label, loader).err()),
        Err(error) => {
            disk_ends::wipe(disk.open(root)?.place())?;
            Err(error)
        }
    }
}

impl Written {
    /// Writes the seed of the installed system, while the disk cannot be booted.
    fn seeded(
        mut self,
        root: &Root,
        kernel: &impl Kernel,
        seed: &Seed,
    ) -> Result<Self, ConfigureError> {
        let partition = root_of(self.ends.table(), ARCH)?;
        self.ends.stage(self.target.place(), &partition)?;
        let disk = kernel.reread(self.target)?;
        kernel.mounted(root, &disk, (&partition, ROOT), |place| seed.write(place))??;
        tracing::info!(partition = partition.number, "cloud-init seed written");
        Ok(Self { target: disk.open(root)?, ends: self.ends })
    }
}

/// The loader on the disk that the firmware is to start.
fn loader(
    root: &Root,
    kernel: &impl Kernel,
    target: Target,
    table: &Table,
) -> Result<Loader<'static>, ConfigureError> {
    let disk = kernel.reread(target)?;
    let partition = esp(table).ok_or(GptError::NoEsp)?;
    let path = efi::fallback_path(ARCH);
    let file = path.trim_start_matches('\\').replace('\\', "/");
    let exists =
        kernel.mounted(root, &disk, (&partition, EFI), |place| place.join(file).exists())?;
    if exists { Ok(Loader { partition, path }) } else { Err(ConfigureError::NoLoader(path)) }
}

#[cfg(test)]
mod tests;
