//! A client of TFTP (RFC 1350) with the option `blksize` (RFC 2348), as firmware has one.

use anyhow::{Context, Result, bail, ensure};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::UdpSocket, time::timeout};

const BLOCK: usize = 1428;
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 5;

/// Reads a file from an address of this host; returns how many bytes it has.
///
/// # Errors
///
/// If the server refuses it, or is silent.
pub(super) async fn read(from: Ipv4Addr, server: SocketAddr, file: &str) -> Result<usize> {
    let socket = UdpSocket::bind((from, 0)).await?;
    let mut packet = [b"\0\x01", file.as_bytes(), b"\0octet\0blksize\x001428\0"].concat();
    let (mut to, mut next, mut size) = (server, 1_u16, 0);
    let mut answer = vec![0; BLOCK + 4];
    loop {
        let (length, peer) = exchange(&socket, &packet, to, &mut answer).await?;
        to = peer;
        let (kind, number) = answer[..length].split_at_checked(2).context("a packet has a kind")?;
        match kind {
            b"\0\x06" => packet = b"\0\x04\0\0".to_vec(),
            b"\0\x03" => {
                let number =
                    u16::from_be_bytes(*number.first_chunk().context("a block has a number")?);
                packet = [b"\0\x04".as_slice(), &number.to_be_bytes()].concat();
                if number != next {
                    continue;
                }
                next = next.wrapping_add(1);
                size += length - 4;
                if length < BLOCK + 4 {
                    socket.send_to(&packet, to).await?;
                    return Ok(size);
                }
            }
            _ => bail!("refused: {}", String::from_utf8_lossy(number)),
        }
    }
}

/// Sends a packet until something comes back.
async fn exchange(
    socket: &UdpSocket,
    packet: &[u8],
    to: SocketAddr,
    answer: &mut [u8],
) -> Result<(usize, SocketAddr)> {
    for _ in 0..TRIES {
        socket.send_to(packet, to).await?;
        if let Ok(received) = timeout(PATIENCE, socket.recv_from(answer)).await {
            let (length, peer) = received?;
            ensure!(length >= 4, "a packet of {length} bytes");
            return Ok((length, peer));
        }
    }
    bail!("the server is silent")
}
