//! DHCP packets as bytes, for the server and its clients, based on [dhcproto]; [`v4::Packet`] and
//! [`v6`] say what they add to it, and why.

pub mod v4;
pub mod v6;
