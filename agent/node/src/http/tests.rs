use super::*;
use crate::testing::Authority;
use metal_base::Chain;
use rustls::RootCertStore;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};
use tokio_rustls::TlsAcceptor;

fn request() -> Request<Bytes> {
    Request::post("/attest").body(Bytes::from_static(b"body")).unwrap()
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_named_without_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(format!("http://{address}/c/secret").parse().unwrap(), None);
    tokio::time::pause();
    let error = Chain(&server.send(request()).await.unwrap_err()).to_string();
    let silent = "the server did not respond within 30 s";
    assert_eq!(error, format!("no answer from http://{address}: {silent}"));
    tokio::time::resume();
    // Without `listen`, it refuses; while it is there, nobody else gets its port.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::new(format!("http://{address}/c/secret").parse().unwrap(), None);
    let error = Chain(&server.send(request()).await.unwrap_err()).to_string();
    let away = format!("no answer from http://{address}: the server is unreachable: ");
    assert!(error.starts_with(&away) && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn only_the_authorities_of_the_configuration_are_trusted_and_the_clock_is_suspected() {
    let (ours, other) = (Authority::new(), Authority::new());
    assert_eq!(session(&ours, 2020, 2120, ours.roots()).await, None);
    let unknown = session(&other, 2020, 2120, ours.roots()).await.unwrap();
    assert!(unknown.contains("of no authority in Cluster.CaCertBase64"), "{unknown}");
    for (from, until) in [(2020, 2021), (2110, 2120)] {
        let error = session(&ours, from, until, ours.roots()).await.unwrap();
        assert!(error.contains("is the clock of this machine right?"), "{error}");
    }
}

/// What goes wrong with a server that this authority vouches for, for this time.
async fn session(
    authority: &Authority,
    from: i32,
    until: i32,
    roots: RootCertStore,
) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(from, until)));
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let mut asked = vec![];
        while !asked.windows(4).any(|it| it == b"\r\n\r\n") {
            stream.read_buf(&mut asked).await.ok().filter(|length| *length > 0)?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        stream.shutdown().await.ok()
    });
    let trust = Trust::of(roots, None).unwrap();
    let server = Server::new(url.parse().unwrap(), Some(trust));
    let error = server.send(request()).await.err().map(|it| Chain(&it).to_string());
    assert_eq!(task.await.unwrap().is_some(), error.is_none(), "nothing is sent to a stranger");
    error
}
