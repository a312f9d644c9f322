//! The whole stack on this machine, for tests, benchmarks and the demo.

pub mod cluster;
pub mod demo;
pub mod files;
pub mod forward;
pub mod hostile;
pub mod kubelet;
pub mod namespace;
pub mod stack;
