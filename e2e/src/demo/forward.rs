//! One port of this machine, for something that listens in another network namespace: a socket
//! stays in the namespace that it was made in, whoever holds it.

use anyhow::{Context, Result};
use std::{
    io::stdin,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// Connections at a time.
const CONNECTIONS: usize = 256;
/// How long a connection to the other side may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A socket on loopback that becomes standard input of whoever is started with it, and its port.
///
/// # Errors
///
/// If there is no free port.
pub fn listen() -> Result<(OwnedFd, u16)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("loopback")?;
    let port = listener.local_addr()?.port();
    Ok((listener.into(), port))
}

/// The socket that is standard input.
///
/// # Errors
///
/// If it is no socket that listens.
pub fn inherited() -> Result<TcpListener> {
    let socket = stdin().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(socket);
    listener.local_addr().context("standard input is no socket")?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Passes connections to `to`, for ever.
pub(super) async fn forward(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(pass(client, to))),
            // Of one connection, or out of files: neither is for ever.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Copies both ways until both sides have said all.
async fn pass(mut client: TcpStream, to: SocketAddr) {
    let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(to)).await else { return };
    // Whoever ended it knows why.
    copy_bidirectional(&mut client, &mut server).await.ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn each_side_gets_all_that_the_other_says_also_after_its_own_end() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (to, at) = (server.local_addr().unwrap(), front.local_addr().unwrap());
        let forward = tokio::spawn(forward(front, to));
        let mut client = TcpStream::connect(at).await.unwrap();
        let (mut far, _) = server.accept().await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = String::new();
        far.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "question");
        far.write_all(b"answer").await.unwrap();
        drop(far);
        said.clear();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "answer");
        forward.abort();
    }
}
