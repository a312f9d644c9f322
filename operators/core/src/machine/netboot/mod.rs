//! What a Machine gets over the network: files of its image, templates that name it, and what
//! cloud-init is told.
//!
//! Nothing here installs anything that nobody has asked for: [`access`] says which files there are
//! while no installation is due, and [`template`] renders the counters so that none is chosen.

pub mod access;
pub mod agent;
pub mod cloud_init;
pub mod image;
pub mod progress;
pub mod template;
mod value;
