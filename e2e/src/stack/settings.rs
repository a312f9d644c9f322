//! What a stack is to be like.

use crate::sim;
use std::{net::IpAddr, path::PathBuf};

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
    /// Where machines reach the operators, on their usual ports: an address of this machine that
    /// is nobody else's; else one of loopback, on any ports.
    pub address: Option<IpAddr>,
    /// Media types and contents of the layers of the discovery image; else nothing executes them.
    pub discovery: Vec<(&'static str, Vec<u8>)>,
    /// Where the operators' binaries are; else they are built.
    pub binaries: Option<PathBuf>,
}
