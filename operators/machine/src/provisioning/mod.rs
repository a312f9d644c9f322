//! What a Machine gets over the network: files of its image, templates rendered for it, and
//! cloud-init's documents.
//!
//! Nothing is installed unless an installation was requested: [`access`] determines which files are
//! served while none is due, and [`template`] renders the counters so that the templates do not
//! choose one.

pub mod access;
pub mod agent;
pub mod cloud_init;
pub mod cluster_info;
pub mod decide;
pub mod image;
pub mod progress;
pub mod pull_secret;
pub mod template;
pub mod user_data;
mod value;
