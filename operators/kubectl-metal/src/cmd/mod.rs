//! The commands, one per file.

pub(crate) mod machine;
pub(crate) mod site;
pub(crate) mod version;
