//! A TFTP server as functions of received packets (RFC 1350, 2347, 2348, 2349, 7440). It is
//! read-only.
//!
//! ```text
//! request ─► Packet::decode ─► Folder: what it boots? ─► Admission ─► Terms ─► Transfer
//!                              no: Refusal, an ERROR  too many: Refusal
//! ```
//!
//! The diagram of a transfer is at [`Transfer`]. Sockets, files and time are left to `metal-serve`.

mod admission;
mod first_blocks;
mod pace;
mod refusal;
mod served;
mod terms;
#[cfg(test)]
mod tests;
mod transfer;
mod transfers;
mod wire;

pub use admission::{Admission, Admitted, EndedTransfers};
pub use first_blocks::FirstBlocks;
pub use pace::Pace;
pub use refusal::Refusal;
pub use served::{Folder, path};
pub use terms::{Limits, Terms};
pub use transfer::{End, Step, Transfer};
pub use transfers::{Bounds, Id};
pub use wire::{
    Code, DecodeError, HEADER_LEN, MAX_REQUEST, Mode, Packet, ReadRequest, data_header,
    encode_error,
};

/// Port that servers listen on.
pub const PORT: u16 = crate::port::TFTP;
