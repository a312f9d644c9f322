//! What a machine gets from the boot server, and when it may be powered on for that.
//!
//! * [`configuration`] decides about a `ServerBootConfiguration`: what its image offers becomes an
//!   `IPXEBootConfig`, an `HTTPBootConfig` or both, and its state says whether they are ready.
//! * [`config`] decides about those two.
//! * [`not_served`] says of one that a person made why no machine gets it.
//! * [`select`] finds the one for a machine, or says why there is none.
//! * [`decision`] is what a machine is told beforehand, by DHCP and TFTP.
//! * [`boot_url`] is a URL that a machine which is no Server boots.
//! * [`address`] says whether a request comes from that machine.
//! * [`window`] says whether it may fetch anything now.
//! * [`stored_boot`] says for how long a stored answer is valid.
//! * [`script`] and [`url`] are the texts that are served.

pub mod address;
pub mod boot_url;
pub mod config;
pub mod configuration;
pub mod decision;
pub mod not_served;
mod refusal;
pub mod script;
pub mod select;
pub mod stored_boot;
pub mod url;
pub mod window;

pub use refusal::Refusal;

/// Why something that a boot needs cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// CamelCase word from a small fixed set.
    pub reason: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The state of the ignition that a boot needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignition {
    /// None is specified.
    None,
    /// It exists, and a machine can read it.
    Usable,
    /// It is not.
    Unusable(Unavailable),
}
