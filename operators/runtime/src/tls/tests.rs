use super::{certificate::CertificateError, *};
use crate::{
    file::Reread,
    listener::{Limits, serve},
};
use axum::{Router, routing::get};
use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command, time::timeout};
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
        tokio::spawn(serve(listener, Some(tls), router, Limits::MACHINES, shutdown.clone()));
        Self { folder, certificate, address, shutdown }
    }

    fn shown(&self) -> Vec<u8> {
        self.certificate.first().to_vec()
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
