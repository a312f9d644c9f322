//! Ports assigned to the protocols by IANA.

/// DHCPv4: servers and relays.
pub(crate) const DHCPV4_SERVER: u16 = 67;
/// DHCPv6: servers and relays.
pub(crate) const DHCPV6_SERVER: u16 = 547;
/// TFTP: servers.
pub(crate) const TFTP: u16 = 69;
