//! Connections as strangers may open them, against a listener with small limits.

use super::*;
use axum::{Extension, body::to_bytes, routing::get, routing::post};
use futures::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    task::JoinHandle,
};

const LIMIT: Duration = Duration::from_secs(30);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn handlers_know_the_other_end_and_a_request_under_way_outlives_the_shutdown() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
    let handler = move |Extension(Local(here)): Extension<Local>,
                        Extension(Peer(peer)): Extension<Peer>| async move {
        begins.notify_one();
        waits.notified().await;
        format!("{here} {}", peer.ip())
    };
    let site = Site::new(Router::new().route("/", get(handler)), Limits::MACHINES).await;
    let mut client = site.ask(GET).await;
    timeout(LIMIT, begun.notified()).await.unwrap();
    site.shutdown.cancel();
    go_on.notify_one();
    let answer = rest(&mut client).await;
    let address = site.address;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with(&format!("{address} 127.0.0.1")), "{answer}");
    site.end().await;
    // A program that another test is starting has a copy of the socket until it runs.
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, closed).await.is_ok(), "somebody still listens");
}

#[tokio::test]
async fn header_names_go_out_as_old_firmware_compares_them() {
    let handler = || async { ([("content-type", "application/efi"), ("etag", "a")], "abc") };
    let site = Site::new(Router::new().route("/", get(handler)), Limits::MACHINES).await;
    for method in ["GET", "HEAD"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = rest(&mut site.ask(request.as_bytes()).await).await;
        for header in ["\r\nContent-Length: 3\r\n", "\r\nContent-Type: application/efi\r\n"] {
            assert!(answer.contains(header), "{answer}");
        }
        assert!(!answer.contains("content-length"), "{answer}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let site = Site::new(Router::new(), Limits::MACHINES).await;
    let long = "a".repeat(2 * Limits::MACHINES.head_bytes);
    let mut client = TcpStream::connect(site.address).await.unwrap();
    // The response may come before the request has been sent completely.
    client.write_all(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.ok();
    let answer = rest(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    site.end().await;
}

#[tokio::test]
async fn silence_trickling_heads_and_idleness_end_a_connection() {
    let limits = Limits { head: millis(300), ..Limits::MACHINES };
    let site = Site::new(hello(), limits).await;
    for first in [&b""[..], b"GET / HT"] {
        let begun = Instant::now();
        let mut client = site.ask(first).await;
        assert_eq!(rest(&mut client).await, "");
        assert!(begun.elapsed() >= limits.head, "{:?}", begun.elapsed());
    }
    site.end().await;
    // The head has its time on a loaded machine as well.
    let limits = Limits { idle: millis(600), ..Limits::MACHINES };
    let site = Site::new(hello(), limits).await;
    let idle = Instant::now();
    let mut client = site.ask(GET).await;
    assert!(answer(&mut client).await.ends_with("hello"));
    assert_eq!(rest(&mut client).await, "");
    assert!(idle.elapsed() >= limits.idle / 2, "{:?}", idle.elapsed());
    site.end().await;
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_ends_its_connection() {
    let read =
        post(|body: Body| async { to_bytes(body, 1 << 20).await.map(drop).is_ok().to_string() });
    let limits = Limits { stalled: millis(300), progress: 100, ..Limits::MACHINES };
    let site = Site::new(Router::new().route("/", read), limits).await;
    let mut client =
        site.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nfirst").await;
    let trickle = async {
        while client.write_all(b"x").await.is_ok() {
            sleep(millis(50)).await;
        }
    };
    timeout(LIMIT, trickle).await.unwrap();
    site.end().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read_and_while_it_is() {
    let read = |body: Result<hyper::body::Bytes, axum::extract::rejection::BytesRejection>| async {
        body.map(|_| "taken")
    };
    let limits = Limits { body_bytes: 1000, ..Limits::MACHINES };
    let site = Site::new(Router::new().route("/", post(read)), limits).await;
    let head =
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n";
    let refused = rest(&mut site.ask(head).await).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("1000 bytes"), "{refused}");

    let chunks = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{}\r\n0\r\n\r\n",
        "x".repeat(0x400)
    );
    let refused = answer(&mut site.ask(chunks.as_bytes()).await).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    site.end().await;
}

#[tokio::test]
async fn who_sends_too_much_without_asking_still_reads_why_it_is_refused() {
    let limits = Limits { body_bytes: 1000, discard: LIMIT, ..Limits::MACHINES };
    let site = Site::new(Router::new().route("/", post(|| async { "taken" })), limits).await;
    let mut sent = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 8 << 20);
    sent.push_str(&" ".repeat(8 << 20));
    let refused = answer(&mut site.ask(sent.as_bytes()).await).await;
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    site.end().await;
}

#[tokio::test]
async fn who_is_refused_before_the_body_was_read_still_reads_why() {
    let refuse = || async { (StatusCode::FORBIDDEN, "not you") };
    let one_piece = |body: Body| async move {
        let mut pieces = body.into_data_stream();
        futures::StreamExt::next(&mut pieces).await;
        (StatusCode::CONFLICT, "not now")
    };
    let router = Router::new().route("/", post(refuse)).route("/piece", post(one_piece));
    let limits = Limits { body_bytes: 64 << 20, discard: LIMIT, ..Limits::MACHINES };
    let site = Site::new(router, limits).await;
    let long = " ".repeat(8 << 20);
    for (path, code) in [("/", 403), ("/piece", 409), ("/nowhere", 404)] {
        let whole = format!("Content-Length: {}\r\n\r\n{long}", long.len());
        let chunked =
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
        for body in [whole, chunked] {
            let mut client =
                site.ask(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{body}").as_bytes()).await;
            let refused = answer(&mut client).await;
            assert!(refused.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {refused}");
            // The body was read completely, so the connection can be used for another request.
            client.write_all(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            assert!(answer(&mut client).await.starts_with("HTTP/1.1 404"), "{path}");
        }
    }
    site.end().await;
}

#[tokio::test]
async fn who_asks_before_it_sends_is_answered_at_once_and_who_never_ends_soon() {
    let refuse = || async { (StatusCode::FORBIDDEN, "not you") };
    let limits = Limits { body_bytes: 64 << 20, ..Limits::MACHINES };
    let site = Site::new(Router::new().route("/", post(refuse)), limits).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000000\r\n";
    let asks = format!("{head}Expect: 100-continue\r\n\r\n");
    let mut at_once = Duration::MAX;
    // One of them meets no other program that takes its time.
    for _ in 0..20 {
        let begun = Instant::now();
        let refused = rest(&mut site.ask(asks.as_bytes()).await).await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
        at_once = at_once.min(begun.elapsed());
    }
    let begun = Instant::now();
    let sends = format!("{head}\r\nand nothing more");
    let refused = rest(&mut site.ask(sends.as_bytes()).await).await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let soon = begun.elapsed();
    assert!(at_once < soon, "{at_once:?} {soon:?}");
    site.end().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_ends_and_one_that_reads_gets_all() {
    const SIZE: usize = 64 << 20;
    let endless = get(|| async {
        let piece = hyper::body::Bytes::from(vec![0; 1 << 16]);
        let pieces = (0..SIZE >> 16).map(move |_| Ok::<_, Infallible>(piece.clone()));
        Body::from_stream(stream::iter(pieces))
    });
    // Long enough that the one that reads is not ended where other programs have the processor.
    let limits = Limits { stalled: millis(5000), ..Limits::MACHINES };
    let site = Site::new(Router::new().route("/", endless), limits).await;
    let asked = || site.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (mut slow, mut fast) = tokio::join!(asked(), asked());
    let mut read = vec![];
    timeout(LIMIT, fast.read_to_end(&mut read)).await.unwrap().unwrap();
    assert!(read.len() > SIZE);
    sleep(2 * limits.stalled + 2 * limits.sweep()).await;
    let mut read = vec![];
    timeout(LIMIT, slow.read_to_end(&mut read)).await.unwrap().ok();
    assert!(read.len() < SIZE, "{}", read.len());
    site.end().await;
}

#[tokio::test]
async fn idle_connections_never_close_the_port_to_others() {
    let limits = Limits { connections: 8, per_source: 4, ..Limits::MACHINES };
    let site = Site::new(hello(), limits).await;
    let mut held = vec![];
    for _ in 0..20 {
        let mut client = site.ask(GET).await;
        assert!(answer(&mut client).await.ends_with("hello"));
        held.push(client);
    }
    assert_eq!(rest(&mut held[0]).await, "", "the longest idle one made room");
    held[19].write_all(GET).await.unwrap();
    assert!(answer(&mut held[19]).await.ends_with("hello"), "the last one still has its place");
    site.end().await;
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// A listener and its address.
struct Site {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Site {
    async fn new(router: Router, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let serving = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Self { address, shutdown, serving }
    }

    /// Opens a connection and sends this on it.
    async fn ask(&self, bytes: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(bytes).await.unwrap();
        client
    }

    async fn end(self) {
        self.shutdown.cancel();
        timeout(LIMIT, self.serving).await.unwrap().unwrap();
    }
}

/// Reads one short response.
async fn answer(client: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let read = timeout(LIMIT, client.read(&mut buffer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Reads up to the end, which may be a reset.
async fn rest(client: &mut TcpStream) -> String {
    let mut read = vec![];
    timeout(LIMIT, client.read_to_end(&mut read)).await.unwrap().ok();
    String::from_utf8_lossy(&read).into_owned()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
