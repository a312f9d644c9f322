//! hosts as a process, under the ServiceAccount of its overlay, with an API server that is real and
//! machines that do what iPXE, Anaconda and the agent would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod broken;
mod cli;
mod clock;
mod crash;
mod disk_image;
mod image;
mod ipxe;
mod kickstart;
mod machine;
mod path;
mod race;
mod refused;
mod release;
mod rescue;
mod site;
mod start;
mod system;
mod tpm;
