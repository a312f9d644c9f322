//! Strangers that hold on to all they can get, from one address and from fifty, and an honest
//! client next to them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "says how long answers took")]

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use futures::stream;
use metal_runtime::{
    admin::Admin,
    args::AdminArgs,
    health::Readiness,
    listener::{Limits, raise_file_limit, serve},
    metrics::Registry,
};
use std::{
    convert::Infallible,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long an honest client may wait; in a debug build the machine is the limit. Who finds no room is refused
/// at once.
const PROMPT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 1 });
/// No stranger leaves because its time is over.
const NEVER: Duration = Duration::from_hours(1);
/// How long a stranger waits.
const PATIENT: Duration = Duration::from_secs(20);
/// After this long, an answer is no longer on its way: the listener's limit, and some more.
const SOON: Duration = Duration::from_secs(4);
/// How many strangers connect at the same time.
const RUSH: usize = 256;
const HONEST: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[derive(Clone, Copy, Debug)]
enum ClientBehavior {
    /// Sends nothing.
    Idle,
    /// Sends one request, and keeps the connection.
    KeepAlive,
    /// Sends the beginning of a request.
    HalfAsked,
    /// Requests much, and does not read it.
    SlowReader,
    /// Requests what we wait for ourselves.
    Unanswered,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_client_is_served_beside_strangers() {
    withstands(10).await;
}

/// As above, at full size and within a second; `hack/test attack` runs it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 10,000 files, and some time"]
async fn an_honest_client_is_served_within_a_second_beside_thousands_of_strangers() {
    withstands(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_is_answered_while_strangers_hold_the_metrics_and_the_probes() {
    raise_file_limit();
    let anywhere = || "127.0.0.1:0".parse().unwrap();
    let args =
        AdminArgs { metrics_bind_address: anywhere(), health_probe_bind_address: anywhere() };
    let admin = Admin::bind(&args).await.unwrap();
    let addresses = [admin.metrics_address().unwrap(), admin.health_address().unwrap()];
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    let serving = tokio::spawn(admin.serve(Readiness::default(), Registry::of("test"), told));
    for sources in [1, 50] {
        let mut held = vec![];
        for address in addresses {
            held.extend(strangers(address, ClientBehavior::Idle, 1100, sources).await);
        }
        served(addresses[1], "/healthz", HONEST, "probe").await;
        served(addresses[0], "/metrics", HONEST, "scrape").await;
    }
    shutdown.cancel();
    serving.await.unwrap();
}

async fn withstands(scale: usize) {
    raise_file_limit();
    let limits = Limits {
        connections: Limits::MACHINES.connections / scale,
        per_source: Limits::MACHINES.per_source / scale,
        head: NEVER,
        idle: NEVER,
        body: NEVER,
        stalled: NEVER,
        ..Limits::MACHINES
    };
    let attacks = [
        (ClientBehavior::Idle, 5000),
        (ClientBehavior::KeepAlive, 5000),
        (ClientBehavior::HalfAsked, 5000),
        (ClientBehavior::SlowReader, 1000),
        (ClientBehavior::Unanswered, 5000),
    ];
    for (habit, number) in attacks {
        for sources in [1, 50] {
            attack(limits, habit, number / scale, sources).await;
        }
    }
}

async fn attack(limits: Limits, habit: ClientBehavior, number: usize, sources: usize) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let address = SocketAddr::from((HONEST, listener.local_addr().unwrap().port()));
    let shutdown = CancellationToken::new();
    let unanswered = Arc::<AtomicUsize>::default();
    let router = router(Arc::clone(&unanswered));
    let serving = tokio::spawn(serve(listener, router, limits, shutdown.clone()));

    let what = format!("{number} x {habit:?} of {sources}");
    let (held, honest) = tokio::join!(strangers(address, habit, number, sources), async {
        // At first, they look like anybody whose answer is on its way.
        let is_first = !matches!(habit, ClientBehavior::Unanswered);
        if is_first { served(address, "/", HONEST, &what).await } else { Duration::ZERO }
    });
    if matches!(habit, ClientBehavior::Unanswered) {
        all_wait(&held, &unanswered).await;
        sleep(SOON).await;
    }
    let beside = served(address, "/", HONEST, &what).await;
    // One of the clients with the same address is honest.
    let among = served(address, "/", source(0), &what).await;
    let slowest = honest.max(beside).max(among);
    println!("{what} addresses: {} came through, slowest answer {slowest:?}", held.len());

    shutdown.cancel();
    drop(held);
    // The listener has a limit for that.
    serving.await.unwrap();
}

/// Waits until each of these connections was closed, or has its request at the handler that does not answer.
async fn all_wait(held: &[TcpStream], unanswered: &AtomicUsize) {
    let is_open = |stream: &&TcpStream| {
        let read = stream.try_read(&mut [0]);
        matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    };
    let all = async {
        // In this order: those that are open can only become fewer.
        while held.iter().filter(is_open).count() != unanswered.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(2), all).await.unwrap();
}

/// A request that is not answered, for as long as its connection lasts.
struct Unanswered(Arc<AtomicUsize>);

impl Unanswered {
    fn new(all: Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::SeqCst);
        Self(all)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn router(unanswered: Arc<AtomicUsize>) -> Router {
    let large = get(|| async {
        let piece = Bytes::from(vec![0; 1 << 16]);
        let pieces = (0..1 << 12).map(move |_| Ok::<_, Infallible>(piece.clone()));
        Body::from_stream(stream::iter(pieces))
    });
    let never = get(move || {
        let unanswered = Unanswered::new(Arc::clone(&unanswered));
        async move {
            let answer = pending::<&'static str>().await;
            drop(unanswered);
            answer
        }
    });
    Router::new().route("/", get(async || "hello")).route("/large", large).route("/never", never)
}

/// The source addresses of strangers; that of the honest client is different.
fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap() + 1)
}

/// Opens the connections of strangers.
async fn strangers(
    address: SocketAddr,
    habit: ClientBehavior,
    number: usize,
    sources: usize,
) -> Vec<TcpStream> {
    let mut coming = JoinSet::new();
    let mut came = vec![];
    for one in 0..number {
        coming.spawn(timeout(PATIENT, stranger(address, habit, source(one % sources))));
        if coming.len() >= RUSH {
            came.push(coming.join_next().await.unwrap().unwrap());
        }
    }
    came.extend(coming.join_all().await);
    // Those that were refused do not count.
    came.into_iter().flatten().flatten().collect()
}

async fn stranger(
    address: SocketAddr,
    habit: ClientBehavior,
    from: Ipv4Addr,
) -> io::Result<TcpStream> {
    let mut stream = connect(address, from).await?;
    let asks: &[u8] = match habit {
        ClientBehavior::Idle => b"",
        ClientBehavior::KeepAlive => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ClientBehavior::HalfAsked => b"GET / HTTP/1.1\r\nHos",
        ClientBehavior::SlowReader => b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        ClientBehavior::Unanswered => b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    stream.write_all(asks).await?;
    if matches!(habit, ClientBehavior::KeepAlive | ClientBehavior::SlowReader) {
        stream.read_u8().await?;
    }
    Ok(stream)
}

async fn connect(address: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind((from, 0).into())?;
    socket.connect(address).await
}

/// Sends several requests, each of which must be answered in time; returns the longest time.
async fn served(address: SocketAddr, path: &str, from: Ipv4Addr, what: &str) -> Duration {
    let asks = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        let answer = timeout(PROMPT, async {
            let mut stream = connect(address, from).await?;
            stream.write_all(asks.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        });
        let answer = answer.await.unwrap_or_else(|_| panic!("{what}: {path} not answered in time"));
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {path}: {error}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {path}: {answer:?}");
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}
