//! A connection to one of a server's addresses (RFC 8305): one that does not respond must not keep us from
//! the others.

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinSet,
    time::sleep,
};

/// After this time the next address is tried, too, if the one before has not responded (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// How many addresses are tried; a name server may send any number.
const MOST: usize = 16;

/// Connects to a host. There is no deadline, but what the kernel has for each address.
///
/// # Errors
///
/// If the name is not resolved, or with the error of the last address.
pub(super) async fn connect((host, port): (&str, u16)) -> io::Result<TcpStream> {
    first(interleaved(lookup_host((host, port)).await?)).await
}

/// The first one that accepts. They are tried in their order, each when the one before has failed, or has
/// not responded for a while; all that were tried go on until one accepts.
async fn first(mut addresses: VecDeque<SocketAddr>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut attempts = JoinSet::new();
    loop {
        match addresses.pop_front() {
            Some(address) => drop(attempts.spawn(TcpStream::connect(address))),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        let is_last = addresses.is_empty();
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt.map_err(io::Error::other).flatten() {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(STAGGER), if !is_last => {}
        }
    }
}

/// The families in turn, each in the order that the resolver prefers (RFC 6724), beginning with its first
/// address (RFC 8305, section 4).
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (first, other) = addresses.fold((VecDeque::new(), VecDeque::new()), sort);
    let (mut lists, mut all) = ([first, other], VecDeque::new());
    while all.len() < MOST {
        let next = lists[0].pop_front();
        lists.reverse();
        match next {
            Some(address) => all.push_back(address),
            None if lists[0].is_empty() => break,
            None => {}
        }
    }
    all
}

type Families = (VecDeque<SocketAddr>, VecDeque<SocketAddr>);

fn sort((mut first, mut other): Families, address: SocketAddr) -> Families {
    let is_other = first.front().is_some_and(|it: &SocketAddr| it.is_ipv4() != address.is_ipv4());
    if is_other { &mut other } else { &mut first }.push_back(address);
    (first, other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::Ipv4Addr, time::Duration};
    use tokio::{net::TcpSocket, time::timeout};

    /// Much less than the kernel gives an address.
    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn families_take_turns_in_the_order_of_the_resolver() {
        for (given, expected) in [
            ("6a 6b 6c 4a 4b", "6a 4a 6b 4b 6c"),
            ("4a 4b 6a", "4a 6a 4b"),
            ("4a 6a 6b 4b", "4a 6a 4b 6b"),
            ("4a 4b", "4a 4b"),
            ("", ""),
        ] {
            let addresses = interleaved(given.split_whitespace().map(address));
            let expected: Vec<_> = expected.split_whitespace().map(address).collect();
            assert_eq!(addresses, expected, "{given}");
        }
        let many = (0..200).map(|n| SocketAddr::from(([10, 0, 0, n], 80)));
        assert_eq!(interleaved(many).len(), MOST);
    }

    #[tokio::test]
    async fn an_address_that_does_not_respond_keeps_nobody_from_the_next_one() {
        let (silent, _full) = silent().await;
        let (refusing, _closed) = closed();
        let accepting = TcpSocket::new_v4().unwrap();
        accepting.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let accepting = accepting.listen(8).unwrap();
        let there = accepting.local_addr().unwrap();
        for before in [vec![silent], vec![silent, silent], vec![silent, refusing, silent]] {
            let addresses = before.iter().copied().chain([there]).collect();
            let stream = timeout(LIMIT, first(addresses)).await.unwrap().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), there);
        }
    }

    #[tokio::test]
    async fn without_an_address_that_accepts_the_error_is_that_of_the_last_one() {
        let (refusing, _closed) = closed();
        let error = first([refusing, refusing].into()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = first(VecDeque::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    /// An address whose queue is full: the kernel drops whoever else asks for a connection.
    async fn silent() -> (SocketAddr, (tokio::net::TcpListener, Vec<TcpStream>)) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(2 * STAGGER, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        (address, (listener, queue))
    }

    /// An address that nobody listens at, nor can, while the socket is there.
    fn closed() -> (SocketAddr, TcpSocket) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    fn address(word: &str) -> SocketAddr {
        let host = match word.split_at(1) {
            ("4", last) => format!("10.0.0.{}", last.as_bytes()[0]),
            (_, last) => format!("[fd77::{last}]"),
        };
        format!("{host}:80").parse().unwrap()
    }
}
