use super::{certificate::CertificateError, *};
use crate::{
    file::Reread,
    listener::{Limits, serve},
    metrics::Registry,
};
use axum::{Router, routing::get};
use jiff::Timestamp;
use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn firmware_without_elliptic_curves_is_served() {
    let server = TestServer::start().await;
    for suite in ["DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"] {
        let said = server.client(&["-tls1_2", "-cipher", suite]).await;
        assert!(said.contains("uki of this machine"), "{said}");
        assert!(said.contains(&format!("Cipher is {suite}")), "{said}");
    }
}

#[tokio::test]
async fn who_can_do_better_than_firmware_gets_better() {
    let server = TestServer::start().await;
    let said = server.client(&[]).await;
    assert!(said.contains("TLSv1.3") && said.contains("uki of this machine"), "{said}");
    let said = server.client(&["-tls1_2"]).await;
    assert!(said.contains("Cipher is ECDHE-RSA-"), "{said}");
}

#[tokio::test]
async fn a_client_with_nothing_but_static_keys_is_refused() {
    let server = TestServer::start().await;
    let said = server.client(&["-tls1_2", "-cipher", "AES256-GCM-SHA384"]).await;
    assert!(!said.contains("uki of this machine"), "{said}");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_one_that_is_none_is_not() {
    let server = TestServer::start().await;
    let before = server.shown();
    assert!(!again(&server).await.unwrap());
    make(server.folder.path(), "new", RSA).await;
    let file = |name: &str| server.folder.path().join(name);
    // One new file of the two is not enough.
    fs::copy(file("new.key"), file("server.key")).unwrap();
    let error = again(&server).await.unwrap_err();
    assert!(matches!(error, CertificateError::Mismatch(_)), "{error}");
    assert!(server.shown() == before);
    fs::copy(file("new.pem"), file("server.pem")).unwrap();
    assert!(again(&server).await.unwrap());
    assert!(server.shown() != before);
    assert!(server.client(&[]).await.contains("uki of this machine"));
}

#[tokio::test]
async fn metrics_say_when_the_certificate_in_use_ends() {
    let server = TestServer::start().await;
    let mut registry = Registry::of("example");
    expiry(&mut registry, Some(&server.certificate));
    let text = registry.text().unwrap();
    let name = "\nexample_certificate_expiry_timestamp_seconds ";
    let (_, rest) = text.split_once(name).unwrap();
    let ends = rest.lines().next().unwrap().parse::<i64>().unwrap();
    let (day, now) = (86_400, Timestamp::now().as_second());
    assert!((now + day..=now + 2 * day).contains(&ends), "{ends}: made for two days, at {now}");
    let mut registry = Registry::of("example");
    expiry(&mut registry, None);
    assert!(!registry.text().unwrap().contains(name));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "rsa", RSA).await;
    make(folder.path(), "curve", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]).await;
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::File::create(folder.path().join("long")).unwrap().set_len(17 << 20).unwrap();
    for (certificate, key, said) in [
        ("rsa.pem", "nowhere", "--https-key-file"),
        ("nowhere", "rsa.key", "--https-certificate-file"),
        ("long", "rsa.key", "larger than 16 MiB"),
        ("empty", "rsa.key", "contains no certificate"),
        ("rsa.pem", "empty", "not valid PEM"),
        ("curve.pem", "curve.key", "must contain an RSA key"),
        ("rsa.pem", "curve.key", "must contain an RSA key"),
    ] {
        let [certificate, key] = [certificate, key].map(|name| folder.path().join(name));
        let error = Certificate::open(&certificate, &key).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// Nothing, and the beginning of a `ClientHello` of 508 bytes (RFC 8446, section 4.1.2).
const BEGINNINGS: [&[u8]; 2] = [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random"];

#[tokio::test]
async fn a_handshake_that_is_not_finished_ends_and_makes_room() {
    let limits = Limits { head: Duration::from_millis(300), ..Limits::MACHINES };
    let server = TestServer::start_with(limits).await;
    for begun in BEGINNINGS {
        let since = Instant::now();
        assert_eq!(rest(&mut server.stranger(begun).await).await, b"");
        assert!(since.elapsed() >= limits.head, "{:?}", since.elapsed());
    }
    // Time ends none of these.
    let limits = Limits { head: 2 * LIMIT, connections: 8, per_source: 4, ..Limits::MACHINES };
    let server = TestServer::start_with(limits).await;
    for begun in BEGINNINGS {
        let mut strangers = vec![];
        for _ in 0..20 {
            strangers.push(server.stranger(begun).await);
        }
        let said = server.client(&[]).await;
        assert!(said.contains("uki of this machine"), "{said}");
        assert_eq!(rest(&mut strangers[0]).await, b"", "the longest one made room");
    }
}

/// What comes until the end, which may be a reset.
async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut read = vec![];
    timeout(LIMIT, client.read_to_end(&mut read)).await.unwrap().ok();
    read
}

async fn again(server: &TestServer) -> Result<bool, CertificateError> {
    (&mut &*server.certificate).read_again().await
}

const RSA: &[&str] = &["-newkey", "rsa:2048"];

/// A server with a certificate for `localhost`.
struct TestServer {
    folder: TempDir,
    certificate: Arc<Certificate>,
    address: SocketAddr,
    shutdown: CancellationToken,
}

impl TestServer {
    async fn start() -> Self {
        Self::start_with(Limits::MACHINES).await
    }

    async fn start_with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "server", RSA).await;
        let file = |name: &str| folder.path().join(name);
        let certificate =
            Certificate::open(&file("server.pem"), &file("server.key")).await.unwrap();
        let certificate = Arc::new(certificate);
        let tls = TlsAcceptor::from(Arc::new(config(Arc::clone(&certificate)).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "uki of this machine"));
        let shutdown = CancellationToken::new();
        tokio::spawn(serve((listener, tls), router, limits, shutdown.clone()));
        Self { folder, certificate, address, shutdown }
    }

    fn shown(&self) -> Vec<u8> {
        self.certificate.first().to_vec()
    }

    /// A client that has sent this.
    async fn stranger(&self, begun: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(begun).await.unwrap();
        client
    }

    /// OpenSSL's output for a connection, including the response.
    async fn client(&self, options: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-ign_eof", "-connect", &self.address.to_string()]);
        command.args(["-verify_return_error", "-verify_hostname", "localhost", "-CAfile"]);
        command.arg(self.folder.path().join("server.pem")).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = command.kill_on_drop(true).spawn().unwrap();
        let mut input = client.stdin.take().unwrap();
        // It may have ended already.
        input.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok();
        let output = timeout(LIMIT, client.wait_with_output()).await.unwrap().unwrap();
        drop(input);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A self-signed certificate.
async fn make(folder: &Path, name: &str, key: &[&str]) {
    let file = |kind: &str| folder.join(format!("{name}.{kind}"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]).args(key);
    command.args(["-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(file("key"));
    command.arg("-out").arg(file("pem"));
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
