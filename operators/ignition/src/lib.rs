//! What a machine reads at its first boot: [`butane`] is what people write, and is translated to
//! Ignition, which [`validation`] checks; [`discovery`] makes that of a machine that is discovered.

pub mod butane;
pub mod discovery;
pub mod validation;
