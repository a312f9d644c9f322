//! Attackers who hold connections open, from one address and from fifty, at every port.

use crate::site::{Site, Target, ports};
use anyhow::{Context, Result, ensure};
use socket2::SockRef;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

/// How long an honest client waits; more with unoptimized binaries, and beside other tests.
const PROMPT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });
/// How long an attacker waits.
const PATIENT: Duration = Duration::from_secs(20);
/// How many attackers connect at the same time.
const RUSH: usize = 256;
const ASKS: usize = 10;
pub(crate) const HONEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

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

    fn asks(self, path: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        match self {
            Self::Idle => Vec::new(),
            Self::KeepAlive => request.into_bytes(),
            Self::HalfAsked => request.as_bytes()[..request.len() / 2].to_vec(),
            // More answers than the buffers hold, which the client never reads.
            Self::SlowReader => request.repeat(2000).into_bytes(),
        }
    }
}

pub(crate) async fn hold_all_ports(site: &mut Site) {
    let number = site.scale.of(1200, 5000);
    for (place, (port, target, address, path)) in ports(site).into_iter().enumerate() {
        // Each habit at one port or another, or every habit at every port.
        let habits = site.scale.of(1, ClientBehavior::ALL.len());
        for (habit, what) in ClientBehavior::ALL.into_iter().cycle().skip(place).take(habits) {
            let number =
                if matches!(habit, ClientBehavior::SlowReader) { number / 5 } else { number };
            let mut slowest = Ok(Duration::ZERO);
            for sources in [1, 50] {
                let waited = held(address, path, habit, number, sources).await;
                let waited = waited.with_context(|| format!("of {sources}"));
                slowest = slowest.and_then(|before: Duration| Ok(before.max(waited?)));
            }
            site.tell(
                &format!("{port}: {number} x {what}, of 1 and of 50 addresses"),
                target,
                slowest,
            );
        }
    }
}

async fn held(
    address: SocketAddr,
    path: &str,
    habit: ClientBehavior,
    number: usize,
    sources: u8,
) -> Result<Duration> {
    let asks = habit.asks(path);
    let (strangers, during) =
        tokio::join!(strangers(address, &asks, number, sources), served(address, path, HONEST));
    let beside = served(address, path, HONEST).await;
    // An honest client that shares the attackers' address. Requests that are being answered are not
    // aborted for others of the same address.
    let among = match habit {
        ClientBehavior::SlowReader => Ok(Duration::ZERO),
        ClientBehavior::Idle | ClientBehavior::KeepAlive | ClientBehavior::HalfAsked => {
            served(address, path, source(0)).await
        }
    };
    drop(strangers?);
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
pub(crate) async fn served(address: SocketAddr, path: &str, from: Ipv4Addr) -> Result<Duration> {
    let asks = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut slowest = Duration::ZERO;
    for _ in 0..ASKS {
        let begun = Instant::now();
        let answer = timeout(PROMPT, async {
            let mut stream = connect(address, from).await?;
            stream.write_all(asks.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(answer)
        });
        let answer = answer.await.with_context(|| format!("{path} of {from}: not in time"))?;
        let answer = answer.with_context(|| format!("{path} of {from}"))?;
        ensure!(answer.starts_with(b"HTTP/1.1 "), "{path} of {from}: no answer");
        slowest = slowest.max(begun.elapsed());
    }
    Ok(slowest)
}

/// Makes requests until `end` is done; returns how long the slowest answer took.
pub(crate) async fn served_until<T>(
    address: SocketAddr,
    path: &str,
    end: impl Future<Output = Result<T>>,
) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            ended = &mut end => return ended.map(|_| slowest),
            waited = served(address, path, HONEST) => slowest = slowest.max(waited?),
        }
    }
}

/// The registry's address and path, for [`served`].
pub(crate) fn registry(site: &Site) -> (SocketAddr, &'static str) {
    let found = ports(site)
        .into_iter()
        .find(|(name, target, ..)| *name == "registry" && matches!(target, Target::Metal));
    let (.., address, path) = found.unwrap();
    (address, path)
}
