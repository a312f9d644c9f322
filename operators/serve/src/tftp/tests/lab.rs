//! A server and clients on loopback.

use crate::{
    neighbor_limit::NeighborLimit,
    tftp::{Addresses, Error, Files, Found, Metrics, Parts, serve},
};
use metal_dhcp::{
    fair_queue::Priority,
    tftp::{Mode, ReadRequest, Refusal},
};
use metal_runtime::{
    health::{Readiness, ReadinessCondition},
    metrics::Registry,
};
use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

pub(super) const LIMIT: Duration = Duration::from_mins(1);

/// A server on all loopback addresses, with a file `a.efi` of 100,000 bytes, and others that may be
/// requested if they exist.
pub(super) struct Lab {
    pub(super) folder: TempDir,
    listen: watch::Sender<Arc<Vec<SocketAddr>>>,
    pub(super) readiness: Readiness,
    registry: Registry,
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
    serving: Option<JoinHandle<Result<(), Error>>>,
}

/// A client with its own port.
pub(super) struct Client(pub(super) UdpSocket);

pub(super) fn request(name: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let options = options.iter().flat_map(|(name, value)| [*name, *value]);
    let texts: Vec<&str> = [name, "octet"].into_iter().chain(options).collect();
    format!("\0\x01{}\0", texts.join("\0")).into_bytes()
}

/// Files that may be requested from a folder, and a text in memory.
pub(super) struct Folder(pub(super) PathBuf);

impl Files for Folder {
    fn priority_of(&self, _: IpAddr) -> Priority {
        Priority::Unknown
    }

    fn find(&self, request: &ReadRequest<'_>, client: IpAddr, _: IpAddr) -> Result<Found, Refusal> {
        match &*request.file {
            _ if request.mode != Mode::Octet => Err(Refusal::NotOctet),
            path @ ("a.efi" | "missing" | "folder" | "link") => {
                let (root, path) = (self.0.clone(), path.to_owned());
                Ok(Found::File { root, name: path.clone(), path })
            }
            "who" => {
                let bytes = client.to_string().into_bytes().into();
                Ok(Found::Bytes { name: "who".to_owned(), bytes })
            }
            _ => Err(Refusal::NotNamed),
        }
    }
}

/// Addresses that may change.
pub(super) fn addresses(
    config: watch::Receiver<Arc<Vec<SocketAddr>>>,
) -> Addresses<Vec<SocketAddr>> {
    Addresses { config, of: Vec::clone }
}

/// The file, once it is served there.
pub(super) fn until_served(address: SocketAddr) -> Vec<u8> {
    let limit = Instant::now() + LIMIT;
    let client = Client::at(1);
    client.0.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    loop {
        client.0.send_to(&request("a.efi", &[]), address).unwrap();
        let mut buffer = [0; 600];
        if let Ok((len, from)) = client.0.recv_from(&mut buffer) {
            client.0.set_read_timeout(Some(LIMIT)).unwrap();
            return client.take(buffer[..len].to_vec(), from, 512, 1).unwrap();
        }
        assert!(Instant::now() < limit, "not served at {address}");
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> =
            (0..100_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        fs::write(folder.path().join("a.efi"), bytes).unwrap();
        let listen = watch::Sender::new(Arc::new(vec![SocketAddr::from(([0; 4], 0))]));
        let (mut registry, readiness) = (Registry::of("lab"), Readiness::default());
        let ready: ReadinessCondition = readiness.gate("tftp", "its sockets");
        let parts = Parts {
            addresses: addresses(listen.subscribe()),
            files: Box::new(Folder(folder.path().to_owned())),
            neighbors: NeighborLimit::default(),
            metrics: Metrics::register(&mut registry),
            ready,
        };
        let shutdown = CancellationToken::new();
        let (opened, is_open) = oneshot::channel();
        let stop = shutdown.clone();
        let serving = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let _entered = runtime.enter();
            serve(parts, opened, &stop)
        });
        let [address] = is_open.blocking_recv().unwrap()[..] else { panic!("one address") };
        let address = SocketAddr::from(([127, 0, 0, 1], address.port()));
        let serving = Some(serving);
        Self { folder, listen, readiness, registry, address, shutdown, serving }
    }

    pub(super) fn file(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("a.efi")).unwrap()
    }

    /// From now on requests are received there.
    pub(super) fn listen(&self, addresses: &[SocketAddr]) {
        self.listen.send_replace(Arc::new(addresses.to_vec()));
    }

    pub(super) fn metrics(&self) -> String {
        self.registry.text().unwrap()
    }

    pub(super) fn until_metrics(&self, line: &str) {
        let limit = Instant::now() + LIMIT;
        while !self.metrics().contains(line) {
            assert!(Instant::now() < limit, "no {line} in {}", self.metrics());
            std::thread::yield_now();
        }
    }

    pub(super) fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(serving) = self.serving.take() {
            serving.join().unwrap().unwrap();
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

impl Client {
    /// A client at this address of 127.0.1.0/24.
    pub(super) fn at(last: u8) -> Self {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 1, last], 0))).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        Self(socket)
    }

    fn acknowledge(&self, block: u16, to: SocketAddr) {
        self.0.send_to(&[&[0, 4][..], &block.to_be_bytes()].concat(), to).unwrap();
    }

    pub(super) fn ask(&self, lab: &Lab, name: &str, options: &[(&str, &str)]) {
        self.0.send_to(&request(name, options), lab.address).unwrap();
    }

    pub(super) fn hear(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 1 << 16];
        let (len, from) = self.0.recv_from(&mut buffer).unwrap();
        buffer.truncate(len);
        (buffer, from)
    }

    /// The next packet except the OACK, which may be repeated.
    pub(super) fn hear_data(&self) -> Vec<u8> {
        loop {
            let (packet, _) = self.hear();
            if packet[1] != 6 {
                return packet;
            }
        }
    }

    /// The file, or the ERROR.
    pub(super) fn fetch(&self, lab: &Lab, options: &[(&str, &str)]) -> Result<Vec<u8>, Vec<u8>> {
        self.ask(lab, "a.efi", options);
        let value = |name: &str| {
            options.iter().find(|option| option.0 == name).map(|option| option.1.parse().unwrap())
        };
        let (blksize, windowsize) =
            (value("blksize").unwrap_or(512), value("windowsize").unwrap_or(1));
        let (mut first, from) = self.hear();
        while !options.is_empty() && first[1] != 6 {
            // From a transfer that was replaced.
            first = self.hear().0;
        }
        self.take(first, from, blksize, windowsize)
    }

    pub(super) fn take(
        &self,
        first: Vec<u8>,
        from: SocketAddr,
        blksize: usize,
        windowsize: usize,
    ) -> Result<Vec<u8>, Vec<u8>> {
        self.take_on(first, from, blksize, windowsize, 0)
    }

    /// The rest of a file, some blocks of which are known.
    pub(super) fn take_on(
        &self,
        first: Vec<u8>,
        from: SocketAddr,
        blksize: usize,
        windowsize: usize,
        has: u16,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let (mut file, mut block, mut packet, mut sender) = (Vec::new(), has, first, from);
        loop {
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            match packet[1] {
                6 => {
                    self.acknowledge(0, sender);
                }
                3 if number == block.wrapping_add(1) => {
                    block = number;
                    file.extend_from_slice(&packet[4..]);
                    let is_last = packet.len() < blksize + 4;
                    if is_last || usize::from(block).is_multiple_of(windowsize) {
                        self.acknowledge(block, sender);
                    }
                    if is_last {
                        return Ok(file);
                    }
                }
                5 => return Err(packet),
                _ => {}
            }
            (packet, sender) = self.hear();
            while has > 0 && sender != from {
                (packet, sender) = self.hear();
            }
        }
    }
}
