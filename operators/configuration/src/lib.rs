//! Configurations of images: the schema that a configuration fits, and the templates that are
//! rendered with it.
//!
//! [`schema`] is a subset of JSON Schema 2020-12 in which everything is bounded, and a keyword that
//! is not known is an error: one that is ignored is a check that nobody makes. [`template`] is Go's
//! text/template. A [`Bundle`] is both with a configuration, as it is encrypted to a host.
//!
//! Nothing here quotes a value of a configuration, which may be a password: errors have fields and
//! lines.

mod bundle;
mod files;
pub mod lines;
mod literals;
mod problem;
pub mod schema;
pub mod template;

pub use bundle::{Bundle, LARGEST, Unpacked};
pub use files::{FOLDER, MARKER, Package, Permissions, Rendered, Unpackable};
pub use problem::Problem;
pub use schema::Schema;
