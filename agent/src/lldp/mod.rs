//! LLDP: what the switches at the other ends of the cables announce.
//!
//! `frame` parses an announcement, `neighbors` remembers it for its lifetime, and `listener`
//! receives frames. There is no daemon: the agent only listens.

mod frame;
mod listener;
mod neighbors;
mod offload;

pub use frame::{Announcement, FrameError};
pub use listener::{ListenError, Listener};
pub use neighbors::Neighbors;
pub(crate) use offload::explain;
