use super::*;
use crate::fixture::server::{Answer, Server};
use metal_api::inventory::Report;

const DEADLINE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_report_is_posted_below_the_token() {
    let mut server = Server::start([Answer::Status(201)]).await;
    let client = client(&server.url("/t/secret"), DEADLINE);
    client.register(&registration()).await.unwrap();
    let request = server.request().await;
    assert_eq!(request.line, "POST /t/secret/register HTTP/1.1");
    assert_eq!(request.registration(), registration());
}

#[tokio::test]
async fn a_refusal_shows_the_status_and_the_reason_but_not_the_token() {
    let server = Server::start([Answer::Status(403)]).await;
    let client = client(&server.url("/t/secret"), DEADLINE);
    let error = client.register(&registration()).await.unwrap_err();
    assert!(matches!(error, RequestError::Refused(StatusCode::FORBIDDEN, _)));
    assert_eq!(
        error.to_string(),
        "the server responded with status 403 Forbidden: because of the \
                                   test"
    );
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_never_answers_ends_at_the_deadline() {
    let server = Server::start([Answer::Silence]).await;
    let error = client(&server.url(""), DEADLINE).register(&registration()).await.unwrap_err();
    assert!(matches!(error, RequestError::Deadline(DEADLINE)), "{error}");
}

#[tokio::test]
async fn a_broken_connection_is_an_error() {
    let server = Server::start([Answer::Hangup]).await;
    let error = client(&server.url(""), DEADLINE).register(&registration()).await.unwrap_err();
    assert!(matches!(error, RequestError::Http(_)), "{error}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client(&format!("http://{closed}"), DEADLINE);
    let error = client.register(&registration()).await.unwrap_err();
    assert!(matches!(error, RequestError::Connect(_)), "{error}");
}

#[tokio::test]
async fn https_is_verified_by_the_given_authorities() {
    let (mut server, certificate) = Server::start_tls().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let url = || server.url("/t/secret").parse().unwrap();
    let trusting = Client::new(url(), file.path(), DEADLINE).unwrap();
    let (_, other) = Server::start_tls().await;
    std::fs::write(file.path(), other).unwrap();
    let strange = Client::new(url(), file.path(), DEADLINE).unwrap();

    let error = strange.register(&registration()).await.unwrap_err();
    assert!(matches!(error, RequestError::Tls(_)), "{error}");
    trusting.register(&registration()).await.unwrap();
    assert_eq!(server.request().await.registration(), registration());
}

#[test]
fn https_needs_authorities_that_can_be_read() {
    let url: RegistryUrl = "https://registry".parse().unwrap();
    let file = Path::new("/nowhere/ca.pem");
    let error = Client::new(url.clone(), file, DEADLINE).unwrap_err();
    assert!(error.to_string().contains("--registry-ca-file"), "{error}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let error = Client::new(url, empty.path(), DEADLINE).unwrap_err();
    assert!(matches!(error, TlsError::Empty(_)), "{error}");
}

fn client(url: &str, deadline: Duration) -> Client {
    Client::new(url.parse().unwrap(), Path::new("/nowhere"), deadline).unwrap()
}

fn registration() -> Registration {
    let data = Report { timestamp: "2026-01-01T00:00:00Z".into(), ..Report::default() };
    Registration { system_uuid: "38947555-7742-3448-3784-823347823834".into(), data }
}
