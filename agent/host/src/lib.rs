//! Agent of a rented server.
//!
//! ```text
//! /etc/bloomery/host.json ──► a key that is made here ──► POST /api/hosts/register, until it is taken
//!                                                                       │
//!   hook ◄── configuration, decrypted ◄── GET /api/hosts/self, waiting ─┘
//!    └──► health command ──► healthy: Active; not healthy in time: the release before, RolledBack
//! ```
//!
//! `plan` decides what comes next from what is recorded (`state`) and wanted. It is recorded
//! before the hook runs, so that an agent that starts after a reboot knows what it has to look
//! after; a release that was not healthy is not tried again.

pub mod agent;
pub mod args;
mod attest;
mod bootc;
mod client;
mod config;
mod decrypt;
mod files;
mod hardware;
mod hook;
mod key;
mod plan;
mod prepare;
mod process_group;
#[cfg(test)]
mod reference_page;
mod state;
