//! DHCP packets as bytes, for the server and for its clients. [dhcproto] reads and writes
//! them; [`v4::Packet`] says what is added to it, and why.

pub mod v4;
