use super::*;
use crate::testing::Authority;
use metal_base::Chain;
use rustls::RootCertStore;
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// A server that answers one request with these bytes; what it was asked is its result.
async fn served(answer: Vec<u8>) -> (Server, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/c/secret", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        talk(stream, &answer).await
    });
    (Server::new(url.parse().unwrap(), None), task)
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut read = vec![];
    while !read.windows(4).any(|it| it == b"\r\n\r\n") {
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            break;
        }
    }
    stream.write_all(answer).await.ok(); // The client may have heard enough.
    stream.shutdown().await.ok();
    String::from_utf8(read).unwrap()
}

fn request() -> Request<Bytes> {
    Request::post("/attest").body(Bytes::from_static(b"body")).unwrap()
}

#[tokio::test]
async fn a_path_is_asked_for_below_the_url() {
    let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno\n";
    let (server, asked) = served(answer.to_vec()).await;
    let answer = server.send(request()).await.unwrap();
    assert_eq!((answer.status, &*answer.body), (StatusCode::FORBIDDEN, &b"no\n"[..]));
    let asked = asked.await.unwrap().to_ascii_lowercase();
    assert!(asked.starts_with("post /c/secret/attest http/1.1\r\n"), "{asked}");
    let host = format!("host: {}\r\n", server.url.authority());
    assert!(asked.contains(&host) && asked.contains("user-agent: metal-agent/"), "{asked}");
}

#[tokio::test]
async fn an_answer_without_end_and_one_that_breaks_off_are_errors_without_the_token() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; LONGEST + 1]].concat();
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx".to_vec();
    for answer in [endless, short, b"nonsense\r\n\r\n".to_vec(), vec![]] {
        let (server, _) = served(answer).await;
        let error = server.send(request()).await.unwrap_err();
        assert!(!Chain(&error).to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_named_without_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/c/secret", listener.local_addr().unwrap());
    let server = Server::new(url.parse().unwrap(), None);
    tokio::time::pause();
    let error = server.send(request()).await.unwrap_err().to_string();
    assert_eq!(error, format!("{} did not answer within 30 s", server.url));
    tokio::time::resume();
    drop(listener);
    let error = server.send(request()).await.unwrap_err().to_string();
    assert_eq!(error, format!("{} cannot be reached", server.url));
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
        let stream = acceptor.accept(stream).await.ok()?;
        Some(talk(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await)
    });
    let trust = Trust::new(roots, None).unwrap();
    let server = Server::new(url.parse().unwrap(), Some(trust));
    let error = server.send(request()).await.err().map(|it| Chain(&it).to_string());
    assert_eq!(task.await.unwrap().is_some(), error.is_none(), "nothing is sent to a stranger");
    error
}
