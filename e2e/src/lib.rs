//! BMC and machine simulator, and tests that need a control plane.

pub mod sim;
