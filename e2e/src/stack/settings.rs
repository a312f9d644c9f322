//! What a stack is to be like.

use crate::sim;
use std::path::PathBuf;

/// What a stack is to be like. The default has no machines.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The machines; fleets must differ in their MAC prefix and in the addresses of their BMCs.
    /// Where they boot from is filled in.
    pub fleets: Vec<sim::Config>,
    /// More flags of the metal-operator.
    pub metal: Vec<String>,
    /// More flags of the boot-operator.
    pub boot: Vec<String>,
    /// Where the operators' binaries are; else they are built.
    pub binaries: Option<PathBuf>,
}
