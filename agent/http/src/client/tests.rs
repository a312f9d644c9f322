use super::*;
use crate::TrustError;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use metal_base::Chain;
use rustls::{RootCertStore, ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

const AGENT: &str = "agent-of-the-test/1";
const DEADLINE: Duration = Duration::from_mins(1);
const LONGEST: usize = 64 << 10;

/// A server that answers one request with these bytes; the head of the request is its result.
async fn served(answer: &[u8]) -> (Client, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/t/secret", listener.local_addr().unwrap());
    let answer = answer.to_vec();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        talk(stream, &answer).await
    });
    (client(&url, None), task)
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
    String::from_utf8_lossy(&read).to_ascii_lowercase()
}

fn client(url: &str, trust: Option<Trust>) -> Client {
    Client::new(url.parse().unwrap(), trust, AGENT, DEADLINE)
}

fn request() -> Request<Bytes> {
    Request::post("/register").body(Bytes::from_static(b"body")).unwrap()
}

#[tokio::test]
async fn a_path_is_asked_for_below_the_url_with_the_headers_of_every_request() {
    let (client, asked) = served(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes").await;
    assert_eq!(client.fetch(request(), LONGEST).await.unwrap(), "yes");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("post /t/secret/register http/1.1\r\n"), "{asked}");
    let host = format!("host: {}\r\n", client.url().authority());
    for header in [&*host, "user-agent: agent-of-the-test/1\r\n", "connection: close\r\n"] {
        assert!(asked.contains(header), "{header} is not in {asked}");
    }
}

#[tokio::test]
async fn a_refusal_shows_the_status_and_the_reason_but_not_the_token() {
    const REFUSED: &[u8] = b"HTTP/1.1 403 X\r\ncontent-length: 8\r\n\r\nbecause\n";
    for is_whole in [false, true] {
        let (client, _) = served(REFUSED).await;
        let error = if is_whole {
            client.fetch(request(), 1).await.unwrap_err()
        } else {
            client.open(request()).await.unwrap_err()
        };
        assert!(matches!(error, RequestError::Refused(StatusCode::FORBIDDEN, _)), "{error}");
        let text = "the server responded with status 403 Forbidden: because";
        assert_eq!(Chain(&error).to_string(), text);
    }
    let (client, _) = served(REFUSED).await;
    let answer = client.exchange(request(), LONGEST).await.unwrap();
    assert_eq!((answer.status(), &**answer.body()), (StatusCode::FORBIDDEN, &b"because\n"[..]));
}

#[tokio::test]
async fn an_answer_without_end_and_one_that_breaks_off_are_errors_without_the_token() {
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; LONGEST + 1]].concat();
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx".to_vec();
    for answer in [endless, short] {
        let (client, _) = served(&answer).await;
        let error = client.fetch(request(), LONGEST).await.unwrap_err();
        assert!(matches!(error, RequestError::Answer(_)), "{error}");
        assert!(!Chain(&error).to_string().contains("secret"), "{error}");
    }
    let headers = [&b"HTTP/1.1 200 OK\r\nx: "[..], &vec![b'x'; HEADERS], b"\r\n\r\n"].concat();
    for answer in [b"nonsense\r\n\r\n".to_vec(), vec![], headers] {
        let (client, _) = served(&answer).await;
        let error = client.open(request()).await.unwrap_err();
        assert!(matches!(error, RequestError::Http(_)), "{error}");
        assert!(!Chain(&error).to_string().contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_an_error_within_the_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // Without `listen`, it refuses; while it is there, nobody else gets its port.
    let away = TcpSocket::new_v4().unwrap();
    away.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let [silent_client, away_client] = [silent.local_addr(), away.local_addr()]
        .map(|address| client(&format!("http://{}", address.unwrap()), None));
    tokio::time::pause();
    let error = silent_client.open(request()).await.unwrap_err();
    assert!(matches!(error, RequestError::Deadline(DEADLINE)), "{error}");
    tokio::time::resume();
    let error = away_client.open(request()).await.unwrap_err();
    assert!(matches!(error, RequestError::Connect(_)), "{error}");
}

#[tokio::test]
async fn https_is_verified_by_the_given_authorities_and_never_without_any() {
    let (ours, other) = (Authority::new(), Authority::new());
    ours.serve(Some(ours.trust())).await.unwrap();
    let unknown = ours.serve(Some(other.trust())).await.unwrap_err();
    assert!(unknown.certificate().is_some(), "{unknown}");
    let nobody = ours.serve(None).await.unwrap_err();
    assert!(matches!(nobody, RequestError::Tls(_)), "{nobody}");
}

#[test]
fn a_pem_file_is_trusted_as_its_certificates_are() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = STANDARD.encode(Authority::new().certificate());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(file.path(), pem).unwrap();
    assert!(Trust::load(file.path()).is_ok());
    std::fs::write(file.path(), "").unwrap();
    assert!(matches!(Trust::load(file.path()), Err(TrustError::Empty(_))));
}

/// A server at 127.0.0.1 that is its own authority.
struct Authority(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        Self(rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap())
    }

    fn certificate(&self) -> &[u8] {
        self.0.cert.der()
    }

    fn trust(&self) -> Trust {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).unwrap();
        Trust::of(roots, None).unwrap()
    }

    /// What becomes of a request to it. Nothing is sent to a server that is not trusted.
    async fn serve(&self, trust: Option<Trust>) -> Result<Answer, RequestError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let key = PrivateKeyDer::Pkcs8(self.0.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.ok()?;
            Some(talk(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await)
        });
        let result = client(&url, trust).open(request()).await;
        assert_eq!(task.await.unwrap().is_some(), result.is_ok());
        result
    }
}
