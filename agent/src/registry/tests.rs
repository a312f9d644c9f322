use super::*;
use crate::fixture::server::{Answer, Server};
use metal_api::inventory::Report;

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_report_is_posted_below_the_token() {
    let mut server = Server::start([Answer::Status(201)]).await;
    client(&server.url("/t/secret")).register(&registration()).await.unwrap();
    let request = server.request().await;
    assert_eq!(request.line, "POST /t/secret/register HTTP/1.1");
    assert_eq!(request.registration(), registration());
}

#[tokio::test]
async fn a_registry_that_refuses_or_hangs_up_has_not_stored_the_report() {
    let server = Server::start([Answer::Status(403), Answer::Hangup]).await;
    let client = client(&server.url("/t/secret"));
    let refused = client.register(&registration()).await.unwrap_err();
    let text = "the server responded with status 403 Forbidden: because of the test";
    assert_eq!(refused.to_string(), text);
    let broken = client.register(&registration()).await.unwrap_err();
    assert!(matches!(broken, RegistryError::Request(RequestError::Http(_))), "{broken}");
}

fn client(url: &str) -> Client {
    Client::new(url.parse().unwrap(), Path::new("/nowhere"), DEADLINE).unwrap()
}

fn registration() -> Registration {
    let data = Report { timestamp: "2026-01-01T00:00:00Z".into(), ..Report::default() };
    Registration { system_uuid: "38947555-7742-3448-3784-823347823834".into(), data }
}
