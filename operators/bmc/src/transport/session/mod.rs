//! Who we are at a BMC, and the one connection to it.

pub(crate) mod endpoint;
pub(crate) mod line;
pub(crate) mod login;
pub(crate) mod peer;
