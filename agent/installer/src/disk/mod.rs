//! The disks of the machine, and which of them is installed to.

mod choose;
mod find;
mod target;

pub(crate) use choose::{ChoiceError, choose};
pub(crate) use find::{Candidate, candidates};
pub(crate) use target::{EFI, Partitioned, ROOT, Target, TargetError};
