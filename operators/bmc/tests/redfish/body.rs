//! Headers and bodies on the wire, as firmware sends them.

use crate::{
    bmc::{credentials, impatient},
    documents::{SYSTEM, documents},
};
use metal_bmc::{Bmc, Config, Connect, Error, Fleet, Redfish, Target};
use metal_core::redfish::{ResetType, Scheme, Step};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Correctly.
    Whole,
    /// In chunks, without the last one; then the connection ends.
    NoLastChunk,
    /// The same, but the connection stays open.
    NoLastChunkAndOpen,
    /// With a length that is too long; then the connection ends.
    LongLength,
    /// The same, but the connection stays open.
    LongLengthAndOpen,
    /// Half of it.
    Half,
    /// With lines in the header that are not headers.
    OddHead,
}

/// A BMC that answers with given bytes.
struct Wire {
    bmc: Redfish,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(vec![]));
        let (mut tasks, seen) = (JoinSet::new(), Arc::clone(&heads));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connections.spawn(serve(tcp, way, Arc::clone(&seen)));
            }
        });
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let target = Target { scheme: Scheme::Http, host: address.into(), port };
        let fleet = Fleet::new(Config { limits: impatient(), ..Config::default() });
        Self { bmc: fleet.connect(&target, &credentials()), heads, _tasks: tasks }
    }

    fn requests(&self, start: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|head| head.starts_with(start)).count()
    }
}

async fn serve(mut tcp: TcpStream, way: Way, heads: Arc<Mutex<Vec<String>>>) {
    loop {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = tcp.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        tcp.read_exact(&mut body).await.unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        heads.lock().unwrap().push(head);
        let answer = answer(&path, way);
        tcp.write_all(&answer).await.unwrap();
        if !matches!(way, Way::Whole | Way::OddHead) {
            if matches!(way, Way::NoLastChunkAndOpen | Way::LongLengthAndOpen) {
                tcp.read_u8().await.ok();
            }
            return;
        }
    }
}

fn answer(path: &str, way: Way) -> Vec<u8> {
    let body = documents().get(path).map_or("{\"a\": {}}".to_owned(), ToString::to_string);
    let status = if path.ends_with("/Sessions") { "201 Created" } else { "200 OK" };
    let head = format!(
        "HTTP/1.1 {status}\r\nX-Auth-Token: token\r\n\
         Location: /redfish/v1/SessionService/Sessions/1\r\n"
    );
    let length = body.len();
    let text = match way {
        Way::Whole => format!("{head}Content-Length: {length}\r\n\r\n{body}"),
        Way::NoLastChunk | Way::NoLastChunkAndOpen => {
            format!("{head}Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n")
        }
        Way::LongLength | Way::LongLengthAndOpen => {
            format!("{head}Content-Length: {}\r\n\r\n{body}", length + 7)
        }
        Way::Half => {
            format!("{head}Content-Length: {length}\r\n\r\n{}", &body[..length / 2])
        }
        Way::OddHead => format!(
            "{head}this is no header\r\nX Frame: x\r\nServer : httpd\r\nX-Long: a\r\n  b\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    };
    text.into_bytes()
}

#[tokio::test]
async fn a_body_that_is_whole_counts_however_the_connection_ends() {
    for way in [
        Way::Whole,
        Way::NoLastChunk,
        Way::NoLastChunkAndOpen,
        Way::LongLength,
        Way::LongLengthAndOpen,
    ] {
        let wire = Wire::start(way).await;
        let system = wire.bmc.system(SYSTEM).await;
        assert_eq!(system.unwrap().serial_number.as_deref(), Some("SN 1"), "{way:?}");
        wire.bmc.perform(SYSTEM, &Step::Reset(ResetType::On)).await.unwrap();
        assert_eq!(wire.requests("POST /redfish/v1/Systems/1/Actions"), 1, "{way:?}");
    }
}

#[tokio::test]
async fn half_of_a_body_is_none() {
    let wire = Wire::start(Way::Half).await;
    let error = wire.bmc.system(SYSTEM).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn header_names_are_written_as_in_the_standard() {
    let wire = Wire::start(Way::Whole).await;
    wire.bmc.system(SYSTEM).await.unwrap();
    let heads = wire.heads.lock().unwrap().concat();
    for name in ["Host: ", "Accept: ", "Content-Type: ", "Content-Length: ", "X-Auth-Token: "] {
        assert!(heads.contains(&format!("\r\n{name}")), "{name}: {heads}");
    }
    assert!(!heads.contains("content-length"), "{heads}");
}

#[tokio::test]
async fn an_odd_line_in_the_head_costs_that_line() {
    let wire = Wire::start(Way::OddHead).await;
    wire.bmc.system(SYSTEM).await.unwrap();
    assert_eq!(wire.requests("GET"), 2);
}
