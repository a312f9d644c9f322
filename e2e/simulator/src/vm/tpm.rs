//! A TPM 2.0: swtpm as a process of its own, for one boot.

use crate::vm_settings::Vm;
use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    fs,
    process::{Child, Command},
    time::{Instant, sleep},
};

/// How long it may take to listen.
const START: Duration = Duration::from_mins(2);

/// A running TPM. It ends with this value, or with this process.
#[derive(Debug)]
pub(super) struct Tpm {
    socket: PathBuf,
    _child: Child,
}

impl Tpm {
    /// That of this machine, if it has one; what it keeps is in the folder of the machine.
    pub(super) async fn of(vm: &Vm, scratch: &Path) -> io::Result<Option<Self>> {
        if vm.has_tpm { Self::start(vm, scratch).await.map(Some) } else { Ok(None) }
    }

    async fn start(vm: &Vm, scratch: &Path) -> io::Result<Self> {
        let (state, socket) = (vm.folder.join("tpm"), scratch.join("tpm"));
        fs::create_dir_all(&state).await?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "swtpm", "socket", "--tpm2", "--terminate"]);
        command.arg("--tpmstate").arg(format!("dir={}", state.display()));
        command.arg("--ctrl").arg(format!("type=unixio,path={}", socket.display()));
        command.args(["--flags", "not-need-init,startup-clear"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn()?;
        let begun = Instant::now();
        while !is_listening(&socket).await? {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("it ended: {status}")));
            }
            if begun.elapsed() > START {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { socket, _child: child })
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }
}

/// Whether a socket takes connections: between the moments in which its file is there and in which it does, they are
/// refused. `/proc/net/unix` has it as a flag (`__SO_ACCEPTCON`), so nobody need connect.
async fn is_listening(socket: &Path) -> io::Result<bool> {
    let path = format!(" {}", socket.display());
    // Other programs may have other names than text.
    let sockets = fs::read("/proc/net/unix").await?;
    Ok(String::from_utf8_lossy(&sockets)
        .lines()
        .any(|line| line.ends_with(&path) && line.contains(" 00010000 ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, SockAddr, Socket, Type};

    #[tokio::test]
    async fn a_socket_that_is_there_is_not_one_that_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tpm");
        assert!(!is_listening(&path).await.unwrap());
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        assert!(path.exists() && !is_listening(&path).await.unwrap());
        socket.listen(1).unwrap();
        assert!(is_listening(&path).await.unwrap());
    }
}
