//! The disks of the machine, and which one is the target.

mod choose;
mod copies;
mod find;
mod settle;
mod target;

pub(crate) use choose::{ChoiceError, choose, told};
pub(crate) use copies::copies;
pub(crate) use find::{Candidate, Reach, candidates};
pub(crate) use settle::settled;
#[cfg(test)]
pub(crate) use target::{Disk, FileSystem};
pub(crate) use target::{EFI, Kernel, Linux, ROOT, Target, TargetError};
