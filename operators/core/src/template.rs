//! Go's text/template, within limits of size and time.

pub use metal_configuration::template::{LARGEST, TemplateError};
pub(crate) use metal_configuration::template::{object, render, text};
