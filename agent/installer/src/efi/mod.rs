//! The boot entry of what was installed, in the firmware's variables (UEFI 2.10, sections 3.1 and 3.3).

mod option;
mod plan;
mod variables;

pub(crate) use option::{Loader, fallback_path, load_option};
pub(crate) use plan::{BootVariables, Change, plan};
pub(crate) use variables::{VariableError, register};
