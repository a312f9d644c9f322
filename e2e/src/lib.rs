//! BMC and machine simulator, and tests that need a control plane.

pub mod cluster;
pub mod hostile;
pub mod namespace;
pub mod sim;
pub mod stack;
