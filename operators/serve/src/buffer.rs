//! The kernel's buffer for packets while we are busy.

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;
use std::io;

/// Lets the kernel buffer `bytes` of packets for a socket. Without `CAP_NET_ADMIN`,
/// `net.core.rmem_max` is the limit.
pub(crate) fn enlarge(socket: &Socket, bytes: usize) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &bytes) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(bytes),
    }
}
