//! What partitions are for, by their types.

use super::{GptError, Partition, Table};
use uuid::Uuid;

/// The EFI system partition (UEFI 2.10, section 5.3.3).
pub const ESP: [u8; 16] = stored(0xc12a_7328_f81f_11d2_ba4b_00a0_c93e_c93b);
/// Any file system of Linux.
const LINUX: [u8; 16] = stored(0x0fc6_3daf_8483_4772_8e79_3d69_d847_7de4);
/// The root file system, by architecture (Discoverable Partitions Specification).
const ROOT_X86_64: [u8; 16] = stored(0x4f68_bce3_e8cd_4db1_96e7_fbca_f984_b709);
const ROOT_ARM64: [u8; 16] = stored(0xb921_b045_1df0_41c3_af44_4c6f_280d_3fae);

/// As it lies on a disk.
const fn stored(guid: u128) -> [u8; 16] {
    Uuid::from_u128(guid).to_bytes_le()
}

/// The type of the root file system of this architecture, as `std::env::consts::ARCH` has it.
fn kind(arch: &str) -> [u8; 16] {
    if arch == "aarch64" { ROOT_ARM64 } else { ROOT_X86_64 }
}

/// The partition with the root file system: the one of that type, else the largest with a file system
/// of Linux. Of several, the one with the most sectors, and of these the first.
///
/// # Errors
///
/// If there is none.
pub fn root(table: &Table, arch: &str) -> Result<Partition, GptError> {
    let largest = |kind: [u8; 16]| {
        let of_kind = table.partitions().filter(|it| it.kind == kind);
        of_kind.max_by_key(|it| (it.last - it.first, std::cmp::Reverse(it.number)))
    };
    largest(kind(arch)).or_else(|| largest(LINUX)).ok_or(GptError::NoRoot)
}

/// What a machine needs of a table, besides room for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A root file system, in which something is left for the system.
    pub root: bool,
    /// An EFI system partition, since that is what it boots from.
    pub esp: bool,
}

impl Needs {
    /// Whether the table has it, on this architecture.
    ///
    /// # Errors
    ///
    /// What is not there.
    pub fn check(self, table: &Table, arch: &str) -> Result<(), GptError> {
        if self.root {
            root(table, arch)?;
        }
        if self.esp && esp(table).is_none() {
            return Err(GptError::NoEsp);
        }
        Ok(())
    }
}

/// The EFI system partition, if there is one.
pub(crate) fn esp(table: &Table) -> Option<Partition> {
    table.partitions().find(|it| it.kind == ESP)
}

/// Whether more room is of use to it.
pub(super) fn may_grow(partition: &Partition) -> bool {
    [LINUX, ROOT_X86_64, ROOT_ARM64].contains(&partition.kind)
}
