//! Election of the replica that works, by a Lease: who holds it, for how long it may be acted on, and
//! the work that only its holder does.

pub mod leadership;
pub mod lease;
mod metric;
mod run;

pub use metric::leading;
pub use run::run_elected;
