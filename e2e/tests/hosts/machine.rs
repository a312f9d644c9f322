//! A machine: what iPXE, the installer and the agent ask for.

pub(crate) use e2e::stack::rented::{Boot, Machine};
