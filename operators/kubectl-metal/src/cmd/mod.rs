//! The commands, one per file.

pub(crate) mod hosts;
pub(crate) mod ipxe_tokens;
mod lists;
pub(crate) mod machine;
mod names;
pub(crate) mod releases;
pub(crate) mod site;
pub(crate) mod version;
