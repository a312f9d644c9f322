//! A Redfish client that does what a test says, and nothing else.

use metal_simulator::Simulator;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::{net::Ipv4Addr, sync::Arc, time::Duration};

/// The longest that anything in these tests may take on a loaded machine.
const DEADLINE: Duration = Duration::from_mins(2);

/// One BMC, with the credentials of one user.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    account: Option<(String, String)>,
    token: Option<String>,
}

impl Client {
    /// The BMC of a machine, with the right account.
    pub(crate) fn of(simulator: &Simulator, machine: u32) -> Self {
        let address = simulator.machine(machine).unwrap().bmc_address.unwrap();
        Self::at(simulator, address)
    }

    /// Whatever answers at this address, with the right account.
    pub(crate) fn at(simulator: &Simulator, address: Ipv4Addr) -> Self {
        let base = format!("http://{address}:{}", simulator.redfish().port());
        let account = Some(("foo".to_owned(), "bar".to_owned()));
        Self { http: http_client(), base, account, token: None }
    }

    /// Without credentials.
    pub(crate) fn anonymous(mut self) -> Self {
        self.account = None;
        self
    }

    /// With another account.
    pub(crate) fn with_account(mut self, username: &str, password: &str) -> Self {
        self.account = Some((username.to_owned(), password.to_owned()));
        self
    }

    /// With the token of a session.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some((username, password)) = &self.account {
            request = request.basic_auth(username, Some(password));
        }
        if let Some(token) = &self.token {
            request = request.header("x-auth-token", token);
        }
        request
    }

    /// Sends a request that may get no answer.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Response> {
        let request = self.request(method, path);
        match body {
            Some(body) => request.json(&body).send().await,
            None => request.send().await,
        }
    }

    /// Sends a request.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.try_send(method, path, body).await.unwrap()
    }

    /// The status of an answer.
    pub(crate) async fn status(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> StatusCode {
        self.send(method, path, body).await.status()
    }

    /// A resource.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.send(Method::GET, path, None).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// A PATCH with `If-Match`.
    pub(crate) async fn patch_if(&self, path: &str, tag: &str, body: Value) -> Response {
        let request = self.request(Method::PATCH, path).header("if-match", tag).json(&body);
        request.send().await.unwrap()
    }

    /// Resets the host.
    pub(crate) async fn reset(&self, reset: &str) {
        let target = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
        let body = json!({ "ResetType": reset });
        let status = self.status(Method::POST, target, Some(body)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{reset}");
    }
}

/// A client without trusted certificates: most of this is plain HTTP.
pub(crate) fn http_client() -> reqwest::Client {
    client_trusting(rustls::RootCertStore::empty())
}

/// A client that trusts these certificates.
pub(crate) fn client_trusting(roots: rustls::RootCertStore) -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(DEADLINE)
        .build()
        .unwrap()
}

/// The key of the message in an error answer.
pub(crate) async fn message(response: Response) -> String {
    let body: Value = response.json().await.unwrap();
    let id = body["error"]["@Message.ExtendedInfo"][0]["MessageId"].as_str().unwrap();
    id.rsplit('.').next().unwrap().to_owned()
}

/// Every reference in a resource.
pub(crate) fn links(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(link)) = object.get("@odata.id") {
                found(link);
            }
            object.values().for_each(|value| links(value, found));
        }
        Value::Array(array) => array.iter().for_each(|value| links(value, found)),
        _ => {}
    }
}

/// Waits until this holds.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("it never came to that");
}
