//! Makes what was written to a disk this machine's own, in an order in which the disk boots nothing before.
//!
//! ```text
//!  one partition shows ─► its seed ─► both ends: it boots ─► its loader is there ─► boot entry
//!            │               │                                    │
//!            └──── fails ────┴──► it boots nothing ◄─ fails: wiped ─┘
//! ```
//!
//! An error of the firmware comes last: the disk is whole then, and boots wherever firmware looks by itself.

use crate::{
    disk::{EFI, Kernel, ROOT, Target, TargetError},
    disk_ends::{self, DiskEnds},
    disk_writer::SinkError,
    efi::{self, Loader, VariableError},
    gpt::{ESP, GptError, Partition, Table, root as root_of},
    seed::{Seed, SeedError},
};
use metalprobe::Root;
use std::env::consts::ARCH;

const VARIABLES: &str = "/sys/firmware/efi/efivars";

/// Why a disk is not this machine's own.
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
    #[error("the disk image has no EFI system partition, and this machine boots by UEFI")]
    NoEsp,
    #[error(
        "the EFI system partition of the disk image has no {0}, which is what the machine would boot"
    )]
    NoLoader(&'static str),
    #[error("the disk is whole, and the firmware does not take its boot entry")]
    Variable(#[from] VariableError),
}

/// Configures and completes a disk on which everything but its ends is written.
///
/// # Errors
///
/// If it cannot be; the disk boots nothing then, unless it is the firmware that fails.
pub(crate) fn configure(
    root: &Root,
    kernel: &impl Kernel,
    (label, seed): (&str, &Seed),
    target: Target,
    mut ends: DiskEnds,
) -> Result<(), ConfigureError> {
    let is_uefi = root.has(VARIABLES);
    if is_uefi && esp(ends.table()).is_none() {
        return Err(ConfigureError::NoEsp);
    }
    let target =
        if seed.is_empty() { target } else { seeded(root, kernel, target, &mut ends, seed)? };
    let table = ends.seal(target.place())?;
    if !is_uefi {
        return Ok(());
    }
    let disk = target.disk().clone();
    match loader(root, kernel, target, &table) {
        Ok(loader) => efi::register(&root.below(VARIABLES), label, loader)?,
        Err(error) => {
            disk_ends::wipe(disk.open(root)?.place())?;
            return Err(error);
        }
    }
    tracing::info!(label, "boot disk selected");
    Ok(())
}

/// Leaves the installed system its seed, while the disk boots nothing.
fn seeded(
    root: &Root,
    kernel: &impl Kernel,
    target: Target,
    ends: &mut DiskEnds,
    seed: &Seed,
) -> Result<Target, ConfigureError> {
    let partition = root_of(ends.table(), ARCH)?;
    ends.stage(target.place(), &partition)?;
    let disk = kernel.reread(target)?;
    kernel.mounted(root, &disk, (&partition, ROOT), |place| seed.write(place))??;
    tracing::info!(partition = partition.number, "cloud-init seed written");
    Ok(disk.open(root)?)
}

/// What the firmware is to start, which is on the disk.
fn loader(
    root: &Root,
    kernel: &impl Kernel,
    target: Target,
    table: &Table,
) -> Result<Loader<'static>, ConfigureError> {
    let disk = kernel.reread(target)?;
    let partition = esp(table).ok_or(ConfigureError::NoEsp)?;
    let path = efi::fallback_path(ARCH);
    let file = path.trim_start_matches('\\').replace('\\', "/");
    let exists =
        kernel.mounted(root, &disk, (&partition, EFI), |place| place.join(file).exists())?;
    if exists { Ok(Loader { partition, path }) } else { Err(ConfigureError::NoLoader(path)) }
}

fn esp(table: &Table) -> Option<Partition> {
    table.partitions().find(|it| it.kind == ESP)
}

#[cfg(test)]
mod tests;
