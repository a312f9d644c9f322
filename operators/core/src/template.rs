//! Go's text/template, within limits of size and time.

#[cfg(test)]
pub(crate) use metal_configuration::template::OUTPUT;
pub use metal_configuration::template::{LARGEST, Unusable};
pub(crate) use metal_configuration::template::{object, render, text};
