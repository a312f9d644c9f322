//! What a machine gets when it asks the boot server, and when a server may be switched on for it.
//!
//! * [`configuration`] decides about a `ServerBootConfiguration`: what its image offers becomes an
//!   `IPXEBootConfig`, an `HTTPBootConfig` or both, and its state says whether they are in place.
//! * [`config`] decides about those two.
//! * [`select`] finds the one that a machine is to get, or says why there is none.
//! * [`decision`] is what a machine is told by DHCP and TFTP, which come before.
//! * [`address`] says whether it is the machine that asks.
//! * [`window`] says whether it may fetch anything now.
//! * [`kept`] says for how long an answer counts that was kept on a disk.
//! * [`script`] and [`url`] are the texts that go over the wire.

pub mod address;
pub mod config;
pub mod configuration;
pub mod decision;
pub mod kept;
mod refusal;
pub mod script;
pub mod select;
pub mod url;
pub mod window;

pub use refusal::Refusal;

/// Why something that a boot needs is not usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// CamelCase word from a small fixed set.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What is known of the ignition that a boot needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignition {
    /// None is asked for.
    None,
    /// It is there, and a machine can read it.
    Usable,
    /// It is not.
    Unusable(Lack),
}
