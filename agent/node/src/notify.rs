//! Messages to systemd (`sd_notify(3)`): that the kubeconfig exists, and what is being done.

use std::{
    env,
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

const SOCKET: &str = "NOTIFY_SOCKET";

/// Tells systemd that the unit has started.
pub(crate) fn ready() {
    send("READY=1");
}

/// Sets the text that `systemctl status` shows.
pub(crate) fn status(text: &str) {
    let line: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    send(&format!("STATUS={line}"));
}

/// Nothing happens if it was not started by systemd, or systemd does not listen any more.
fn send(message: &str) {
    if let Some(socket) = env::var_os(SOCKET) {
        deliver(&socket, message).ok();
    }
}

fn deliver(socket: &OsStr, message: &str) -> std::io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_a_socket_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        deliver(path.as_os_str(), "READY=1").unwrap();
        let name = path.as_os_str().as_bytes();
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        let at = [b"@", name].concat();
        deliver(OsStr::from_bytes(&at), "STATUS=joined").unwrap();
        let read = |socket: &UnixDatagram| {
            let mut buffer = [0; 64];
            let len = socket.recv(&mut buffer).unwrap();
            String::from_utf8_lossy(&buffer[..len]).into_owned()
        };
        assert_eq!([read(&by_path), read(&by_name)], ["READY=1", "STATUS=joined"]);
        assert!(deliver(OsStr::new("/nowhere/notify"), "READY=1").is_err());
    }
}
