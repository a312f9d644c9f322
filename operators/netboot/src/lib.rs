//! DHCP server of the out-of-band and boot networks; records the BMCs it sees as Endpoints.
