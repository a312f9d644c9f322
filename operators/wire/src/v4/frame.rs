//! A datagram in an Ethernet frame, for a client that the kernel cannot send to (RFC 2131, section
//! 4.1), because it has no address yet.

use std::{net::SocketAddrV4, num::TryFromIntError};

/// EtherType of IPv4 (RFC 894); lengths of the headers, in bytes; protocol number of UDP.
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];
const ETHERNET_LEN: usize = 14;
const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;

/// A datagram in its frame (RFC 791, RFC 768), with fragmentation disabled. `head` has the
/// destination and the source.
///
/// # Errors
///
/// If `data` is longer than a datagram can be.
pub fn frame(
    head: [[u8; 6]; 2],
    from: SocketAddrV4,
    to: SocketAddrV4,
    data: &[u8],
) -> Result<Vec<u8>, TryFromIntError> {
    let udp_len = u16::try_from(UDP_LEN + data.len())?;
    let total = u16::try_from(IP_LEN + UDP_LEN + data.len())?;
    let mut out = Vec::with_capacity(ETHERNET_LEN + usize::from(total));
    out.extend(head.as_flattened());
    out.extend(ETHERTYPE_IPV4);
    let mut ip = [0; IP_LEN];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[6..10].copy_from_slice(&[0x40, 0, TTL, UDP]);
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..].copy_from_slice(&to.ip().octets());
    let own = checksum(sum(&ip));
    ip[10..12].copy_from_slice(&own.to_be_bytes());
    out.extend(ip);
    let mut udp = [0; UDP_LEN];
    for (place, field) in
        udp.as_chunks_mut::<2>().0.iter_mut().zip([from.port(), to.port(), udp_len])
    {
        *place = field.to_be_bytes();
    }
    let pseudo = sum(&ip[12..]) + u64::from(UDP) + u64::from(udp_len);
    // Zero would mean that there is no checksum.
    let own = match checksum(pseudo + sum(&udp) + sum(data)) {
        0 => u16::MAX,
        own => own,
    };
    udp[6..].copy_from_slice(&own.to_be_bytes());
    out.extend(udp);
    out.extend(data);
    Ok(out)
}

/// The sum of 16-bit words (RFC 1071); an odd byte at the end is the upper half of one.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let words: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    words + rest.first().map_or(0, |byte| u64::from(*byte) << 8)
}

fn checksum(mut sum: u64) -> u16 {
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
        let head = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
        for data in [&b"abc"[..], b"abcd", b"", &[0xff; 301]] {
            let made = frame(head, FROM, TO, data).unwrap();
            assert_eq!(made[..14], [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
            let packet = &made[14..];
            assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
            assert_eq!(packet[12..20], [10, 77, 0, 1, 10, 77, 0, 100]);
            assert_eq!(packet[20..24], [0, 67, 0, 68]);
            assert_eq!(&packet[28..], data);
            // The sum of data including its checksum is zero.
            assert_eq!(checksum(sum(&packet[..20])), 0);
            let pseudo = sum(&packet[12..20]) + 17 + 8 + data.len() as u64;
            assert_eq!(checksum(pseudo + sum(&packet[20..])), 0);
        }
        assert!(frame(head, FROM, TO, &vec![0; 65_520]).is_err());
    }

    #[test]
    fn the_checksum_is_that_of_the_example_in_rfc_1071() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(sum(&data)), !0xddf2);
    }
}
