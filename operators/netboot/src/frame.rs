//! An answer for a client that does not have its address yet (RFC 2131, section 4.1): it cannot
//! answer to ARP, so the kernel would not find it, and it gets an Ethernet frame to the hardware
//! address that it told.

use metal_api::MacAddr;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Socket, Type};
use std::{io, net::SocketAddrV4, os::fd::AsRawFd as _};

/// ARP hardware type of Ethernet.
const ETHERNET: u16 = 1;
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const IP_LEN: u16 = 20;
const UDP_LEN: u16 = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// Where frames go out.
#[derive(Debug)]
pub(crate) struct Frames {
    socket: Socket,
    own: [u8; 6],
}

impl Frames {
    /// Opens a socket that sends on an interface, and receives nothing.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, or if the interface is no Ethernet.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let link = link_address(interface)?;
        let own = link.addr().filter(|own| link.hatype() == ETHERNET && *own != [0; 6]);
        let own = own.ok_or_else(|| io::Error::other("no Ethernet"))?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        bind(socket.as_raw_fd(), &link)?;
        Ok(Self { socket, own })
    }

    /// Sends a datagram to a hardware address.
    ///
    /// # Errors
    ///
    /// If the kernel does not take it.
    pub(crate) fn send(
        &self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        at: MacAddr,
        data: &[u8],
    ) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let datagram = datagram(from, to, data).map_err(too_long)?;
        let frame = [&at.0[..], &self.own, &ETHERTYPE_IPV4, &datagram].concat();
        self.socket.send(&frame).map(drop)
    }
}

fn link_address(interface: &str) -> io::Result<LinkAddr> {
    let mut all = getifaddrs()?.filter(|it| it.interface_name == interface);
    let link = all.find_map(|it| it.address?.as_link_addr().copied());
    link.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// A datagram with its headers (RFC 791, RFC 768), not to be fragmented.
fn datagram(
    from: SocketAddrV4,
    to: SocketAddrV4,
    data: &[u8],
) -> Result<Vec<u8>, std::num::TryFromIntError> {
    let udp_len = u16::try_from(data.len() + usize::from(UDP_LEN))?;
    let total = u16::try_from(usize::from(udp_len) + usize::from(IP_LEN))?;
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0x40, 0, TTL, UDP, 0, 0]);
    ip.extend(&addresses);
    let sum = checksum(&[&ip]).to_be_bytes();
    ip[10..12].copy_from_slice(&sum);
    let mut udp = Vec::with_capacity(usize::from(udp_len));
    for field in [from.port(), to.port(), udp_len, 0] {
        udp.extend(field.to_be_bytes());
    }
    udp.extend(data);
    let [high, low] = udp_len.to_be_bytes();
    // Zero would mean that there is none.
    let sum = match checksum(&[&addresses, &[0, UDP, high, low], &udp]) {
        0 => u16::MAX,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    ip.extend(udp);
    Ok(ip)
}

/// The checksum of what stands together in this order (RFC 1071). All but the last part have even
/// lengths.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let word = |pair: &[u8]| {
        u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]))
    };
    let mut sum: u32 = words.map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const FROM: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 67);
    const TO: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 100), 68);

    #[test]
    fn the_headers_are_those_of_a_datagram_with_checksums_that_fit() {
        for data in [&b"abc"[..], b"abcd", b"", &[0xff; 300]] {
            let packet = datagram(FROM, TO, data).unwrap();
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            assert_eq!(packet[12..20], [10, 77, 0, 1, 10, 77, 0, 100]);
            assert_eq!(packet[20..24], [0, 67, 0, 68]);
            assert_eq!(&packet[28..], data);
            // A sum with its checksum in it is zero.
            assert_eq!(checksum(&[&packet[..20]]), 0);
            let udp_len = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
            let pseudo = [&packet[12..20], &[0, 17], &udp_len].concat();
            assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_example_in_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&[&data]), !0xddf2);
    }

    #[test]
    fn the_loopback_is_no_ethernet() {
        assert!(Frames::open("lo").is_err());
        assert!(Frames::open("nowhere0").is_err());
    }
}
