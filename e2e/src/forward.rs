//! A port of the outer network namespace for a server in another one: a socket stays in the
//! namespace that it was created in, whichever process holds it.

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

/// Concurrent connections.
const CONNECTIONS: usize = 256;
/// How long connecting to the other side may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A listening socket on loopback, to be passed to a child as its standard input, and its port.
///
/// # Errors
///
/// If there is no free port.
pub fn listen() -> Result<(OwnedFd, u16)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("loopback")?;
    let port = listener.local_addr()?.port();
    Ok((listener.into(), port))
}

/// The listening socket that was passed as standard input.
///
/// # Errors
///
/// If it is not a listening socket.
pub fn inherited() -> Result<TcpListener> {
    let socket = stdin().as_fd().try_clone_to_owned()?;
    let listener = std::net::TcpListener::from(socket);
    listener.local_addr().context("standard input is no socket")?;
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

/// Forwards connections to `to`, forever.
pub async fn forward(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => drop(connections.spawn(pass(client, to))),
            // A failed connection or too many open files: neither lasts.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Copies both ways until both sides have closed.
async fn pass(mut client: TcpStream, to: SocketAddr) {
    let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(to)).await else { return };
    // Each end learns of a broken connection by itself.
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
