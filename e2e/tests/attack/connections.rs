//! Attackers who hold connections open, from one address and from fifty, at every port.

use crate::{
    flood::loading,
    ports::{self, Kind, Port, Target},
    site::{Scale, Site},
};
use anyhow::{Context, Result, ensure};
use e2e::namespace::run;
use reqwest::Client;
use socket2::SockRef;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::{JoinSet, spawn_blocking},
    time::{Instant, timeout},
};

/// How long an honest client waits; more with unoptimized binaries, and beside other tests.
const PROMPT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
/// How long an attacker waits.
const PATIENT: Duration = Duration::from_secs(20);
/// How many attackers connect at the same time.
const RUSH: usize = 256;
/// How often an honest client asks; less with unoptimized binaries, which take longer for each.
const ASKS: usize = if cfg!(debug_assertions) { 5 } else { 10 };
pub(crate) const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The beginning of a `ClientHello` of 508 bytes (RFC 8446, section 4.1.2).
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random";

#[derive(Clone, Copy, Debug)]
enum ClientBehavior {
    Idle,
    KeepAlive,
    HalfAsked,
    SlowReader,
}

impl ClientBehavior {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Idle, "idle connections"),
        (Self::KeepAlive, "kept connections"),
        (Self::HalfAsked, "half a request"),
        (Self::SlowReader, "slow readers"),
    ];

    /// Whether it is tried at a port. After a handshake, TLS changes nothing; and thousands of requests
    /// for metrics take debug binaries many seconds.
    fn is_tried(self, port: &Port, scale: Scale) -> bool {
        match (self, port.kind) {
            (Self::Idle | Self::HalfAsked, _)
            | (_, Kind::Machines)
            | (Self::KeepAlive, Kind::Admin) => true,
            (Self::KeepAlive | Self::SlowReader, Kind::Tls) => false,
            (Self::SlowReader, Kind::Admin) => scale == Scale::Full,
        }
    }

    fn asks(self, port: &Port) -> Vec<u8> {
        let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", port.path);
        match self {
            Self::Idle => Vec::new(),
            Self::KeepAlive => request.into_bytes(),
            Self::HalfAsked if port.kind == Kind::Tls => HALF_A_HELLO.to_vec(),
            Self::HalfAsked => request.as_bytes()[..request.len() / 2].to_vec(),
            // More answers than the buffers hold, which the client never reads.
            Self::SlowReader => request.repeat(2000).into_bytes(),
        }
    }

    /// How many of them: more than a port has for one source, and at full size more than it has.
    fn number(self, port: &Port, scale: Scale) -> usize {
        let number = match port.kind {
            Kind::Machines | Kind::Tls => scale.of(1200, 5000),
            Kind::Admin => scale.of(200, 5000),
        };
        if matches!(self, Self::SlowReader) { number / 5 } else { number }
    }
}

pub(crate) async fn hold_all_ports(site: &Site) {
    for (place, port) in ports::all(site).into_iter().enumerate() {
        let habits = ClientBehavior::ALL.into_iter();
        let habits = habits.filter(|(it, _)| it.is_tried(&port, site.scale));
        let habits: Vec<_> = habits.collect();
        // Each habit at one port or another, or every habit at every port.
        let all = habits.len();
        let many = if port.kind == Kind::Tls { all } else { site.scale.of(1, all) };
        for (habit, what) in habits.into_iter().cycle().skip(place).take(many) {
            let number = habit.number(&port, site.scale);
            let mut slowest = Ok(Duration::ZERO);
            for sources in [1, 50] {
                let waited = beside_files(site, &port, held(&port, habit, number, sources)).await;
                let waited = waited.with_context(|| format!("of {sources}"));
                slowest = slowest.and_then(|before: Duration| Ok(before.max(waited?)));
            }
            let (name, of) = (port.name, port.target.name());
            let what = format!("{name} of {of}: {number} x {what}, of 1 and of 50 addresses");
            site.tell(&what, port.target, slowest);
        }
    }
}

/// An attack on a port; at netboot, while an honest machine loads a file by TFTP.
async fn beside_files(
    site: &Site,
    port: &Port,
    attack: impl Future<Output = Result<Duration>>,
) -> Result<Duration> {
    if port.target != Target::Netboot {
        return attack.await;
    }
    let mut load = loading(site);
    let file = async { spawn_blocking(move || run(&mut load).map(drop)).await? };
    let (waited, file) = tokio::join!(attack, file);
    file.context("an honest machine loads a file")?;
    waited
}

async fn held(port: &Port, habit: ClientBehavior, number: usize, sources: u8) -> Result<Duration> {
    let asks = habit.asks(port);
    let (strangers, during) =
        tokio::join!(strangers(port.address, &asks, number, sources), served(port, HONEST));
    let strangers = strangers?;
    ensure!(!strangers.is_empty(), "no stranger came through: nothing was attacked");
    let beside = served(port, HONEST).await;
    // An honest client that shares the attackers' address. Requests that are being answered are not
    // aborted for others of the same address.
    let among = match habit {
        ClientBehavior::SlowReader => Ok(Duration::ZERO),
        ClientBehavior::Idle | ClientBehavior::KeepAlive | ClientBehavior::HalfAsked => {
            served(port, source(0)).await
        }
    };
    drop(strangers);
    Ok(during?.max(beside?).max(among?))
}

/// The addresses of the attackers, which never include the honest one.
fn source(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number + 1)
}

/// The attackers' open connections; refused ones do not count.
async fn strangers(
    address: SocketAddr,
    asks: &[u8],
    number: usize,
    sources: u8,
) -> Result<Vec<TcpStream>> {
    let mut coming = JoinSet::new();
    let mut came = vec![];
    for from in (0..sources).cycle().take(number) {
        coming.spawn(timeout(PATIENT, stranger(address, asks.to_vec(), source(from))));
        if coming.len() >= RUSH {
            came.push(coming.join_next().await.context("somebody comes")??);
        }
    }
    came.extend(coming.join_all().await);
    Ok(came.into_iter().flatten().flatten().collect())
}

async fn stranger(address: SocketAddr, asks: Vec<u8>, from: Ipv4Addr) -> Result<TcpStream> {
    /// A client that does not read its answers is stuck when sending, sooner or later.
    const SENDING: Duration = Duration::from_millis(200);
    let mut stream = connect(address, from).await?;
    timeout(SENDING, stream.write_all(&asks)).await.unwrap_or(Ok(()))?;
    Ok(stream)
}

async fn connect(address: SocketAddr, from: Ipv4Addr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    // Frees the port at once.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(address).await?)
}

/// Makes several requests, and expects an answer to each in time; returns how long the slowest
/// took.
pub(crate) async fn served(port: &Port, from: Ipv4Addr) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for _ in 0..ASKS {
        let begun = Instant::now();
        let answer = timeout(PROMPT, async {
            match port.kind {
                Kind::Tls => ask_with_tls(port, from).await,
                Kind::Machines | Kind::Admin => ask(port, from).await,
            }
        });
        let (name, path) = (port.name, port.path);
        let answer = answer.await.with_context(|| format!("{name}, {path} of {from}: too late"))?;
        answer.with_context(|| format!("{name}, {path} of {from}"))?;
        slowest = slowest.max(begun.elapsed());
    }
    Ok(slowest)
}

async fn ask(port: &Port, from: Ipv4Addr) -> Result<()> {
    let asks = format!("GET {} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", port.path);
    let mut stream = connect(port.address, from).await?;
    stream.write_all(asks.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.starts_with(b"HTTP/1.1 "), "no answer");
    Ok(())
}

/// The same on a new connection with TLS.
async fn ask_with_tls(port: &Port, from: Ipv4Addr) -> Result<()> {
    let http = Client::builder().no_proxy().local_address(Some(from.into()));
    let http = http.danger_accept_invalid_certs(true).build()?;
    http.get(format!("https://{}{}", port.address, port.path)).send().await?;
    Ok(())
}

/// Makes requests until `end` is done; returns how long the slowest answer took.
pub(crate) async fn served_until<T>(
    port: &Port,
    end: impl Future<Output = Result<T>>,
) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            ended = &mut end => return ended.map(|_| slowest),
            waited = served(port, HONEST) => slowest = slowest.max(waited?),
        }
    }
}
