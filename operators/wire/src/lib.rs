//! DHCP packets as bytes, for the server and for its clients. [dhcproto] reads and writes
//! them; [`v4::Packet`] and [`v6`] say what is added to it, and why.

pub mod v4;
pub mod v6;
