//! What the kernel keeps for us of packets while we are busy.

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;
use std::io;

/// Lets the kernel keep `bytes` of packets for a socket. Without `CAP_NET_ADMIN` it is a wish, which
/// `net.core.rmem_max` cuts.
pub(crate) fn enlarge(socket: &Socket, bytes: usize) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &bytes) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(bytes),
    }
}
