//! BMC and machine simulator, and tests that need a control plane.

pub mod cluster;
pub mod namespace;
pub mod sim;
pub mod stack;
