//! LLDP: what the switches at the other ends of the cables say about themselves.
//!
//! `frame` reads one announcement, `neighbors` remembers them for as long as they asked for, and
//! `listener` receives them. There is no daemon: the agent only listens.

mod frame;
mod listener;
mod neighbors;

pub use frame::{Announcement, Malformed};
pub use listener::{ListenError, Listener};
pub use neighbors::Neighbors;
