//! The listener on real packet sockets, in a network namespace of its own.

use metalprobe::lldp::Listener;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{MsgFlags, sendto},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{env, io, os::fd::AsRawFd, process::Command, time::Duration};
use tokio::time::timeout;

const FRAME: &[u8] = b"\x01\x80\xc2\x00\x00\x0e\x02\x00\x00\x00\x00\x01\x88\xcc\
    \x02\x07\x04\x00\x1b\x21\x3a\x4b\x5c\x04\x0a\x05Ethernet1\x06\x02\x00\x78\x0a\x06leaf-1\0\0";

/// Only a process with one thread can enter a user namespace, so the test starts itself again.
#[test]
fn frames_of_a_link_are_heard_and_malformed_ones_are_skipped() {
    let script = r#"command -v ip >/dev/null || { echo "no ip here; run: hack/prepare unit" && exit 1; }
        ip link set lo up && exec "$0" --exact inside_a_namespace --ignored"#;
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", script])
        .arg(env::current_exe().unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
#[ignore = "started by the test above, in its namespace"]
async fn inside_a_namespace() {
    let listener = Listener::open().unwrap();
    send(&FRAME[..20]).unwrap();
    send(FRAME).unwrap();
    let heard = timeout(Duration::from_mins(1), listener.next()).await.unwrap().unwrap();
    assert_eq!((heard.0.as_str(), heard.1.system_name.as_str()), ("lo", "leaf-1"));
}

/// Sends a frame on the loopback link, which returns it to every packet socket.
fn send(frame: &[u8]) -> io::Result<usize> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    let mut addresses = getifaddrs()?.filter(|address| address.interface_name == "lo");
    let link = addresses.find_map(|address| address.address?.as_link_addr().copied());
    let link = link.ok_or(io::ErrorKind::NotFound)?;
    Ok(sendto(socket.as_raw_fd(), frame, &link, MsgFlags::empty())?)
}
