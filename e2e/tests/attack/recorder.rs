//! Answers at the address of a BMC, and records the credentials it is sent.

use crate::site::REDFISH;
use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{Method, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use e2e::namespace::ip;
use http_body_util::{BodyExt, Collected};
use serde_json::json;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinSet};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const SYSTEMS: &str = "/redfish/v1/Systems";

/// A BMC without servers.
#[derive(Debug)]
pub(crate) struct Recorder {
    heard: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Recorder {
    /// Answers at an address that is created for it.
    pub(crate) async fn at(address: IpAddr) -> Result<Self> {
        // Without a search for duplicates, which even here keeps an address unusable for a moment.
        let options = if address.is_ipv4() { "/32 dev lo" } else { "/128 dev lo nodad" };
        ip(&format!("address add {address}{options}"))?;
        let listener = TcpListener::bind((address, REDFISH)).await?;
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&heard);
        let app = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
            let header = parts.headers.get(AUTHORIZATION).map(|value| value.as_bytes().to_vec());
            let note = format!("{} {} {}", parts.method, parts.uri, secrets(&body, header));
            notes.lock().unwrap().push(note);
            answer(&parts.method, parts.uri.path())
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Ok(Self { heard, _serving: serving })
    }

    /// Whether it was sent this password.
    pub(crate) fn knows(&self, password: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|note| note.contains(password))
    }
}

/// The secrets in a request, in clear text.
fn secrets(body: &Bytes, header: Option<Vec<u8>>) -> String {
    let header = header.unwrap_or_default();
    let basic = header.strip_prefix(b"Basic ").unwrap_or_default();
    let basic = BASE64_STANDARD.decode(basic).unwrap_or_default();
    [&body[..], &header, &basic].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join(" ")
}

fn answer(method: &Method, path: &str) -> Response {
    if *method == Method::POST {
        let token = [("x-auth-token", "token"), ("location", "/redfish/v1/Sessions/1")];
        return (StatusCode::CREATED, token, "{}").into_response();
    }
    let body = if path.starts_with(SYSTEMS) {
        json!({ "Members": [], "Members@odata.count": 0 })
    } else {
        json!({
            "Systems": { "@odata.id": SYSTEMS },
            "SessionService": { "@odata.id": "/redfish/v1/SessionService" },
            "Links": { "Sessions": { "@odata.id": SESSIONS } },
        })
    };
    body.to_string().into_response()
}
