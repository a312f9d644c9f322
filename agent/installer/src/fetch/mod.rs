//! What metalman serves for this installation, over HTTP.
//!
//! Every wait has a deadline, and nothing ends an installation that may work later: a transfer that
//! breaks goes on where it broke, if the server vouches for the same content, and otherwise begins again.

mod client;
mod transfer;

pub(crate) use client::{Base, Client, is_stale, is_unknown};
pub(crate) use transfer::{Broken, Pieces, Transfer, transfer};
