//! A request, and how it is sent.

use crate::{Permit, Target, transport::root::ROOT};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::Full;
use metal_core::redfish::Scheme;

/// A request, without what every request has in common.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Whether it creates a session.
    pub(crate) is_login: bool,
    /// Checked right before the first byte is sent.
    pub(crate) permit: Permit,
}

impl Request {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let (headers, path) = (HeaderMap::new(), path.to_owned());
        let permit = Permit::default();
        Self { method, path, headers, body: None, is_login: false, permit }
    }

    pub(crate) fn login(self) -> Self {
        Self { is_login: true, ..self }
    }

    /// Whether its response says something about the BMC as a whole.
    pub(crate) fn is_about_all(&self) -> bool {
        self.is_login || self.path == ROOT
    }

    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into());
        self
    }

    /// The same request, sent only while `permit` holds.
    pub(crate) fn permitted(&self, permit: &Permit) -> Self {
        Self { permit: permit.clone(), ..self.clone() }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A request, and how it is authenticated.
pub(crate) struct AuthenticatedRequest<'a> {
    pub(crate) request: &'a Request,
    pub(crate) signature: Option<(HeaderName, HeaderValue)>,
}

impl AuthenticatedRequest<'_> {
    pub(crate) fn to_http(&self, target: &Target) -> http::Request<Full<Bytes>> {
        let body = Full::new(self.request.body.clone().unwrap_or_default());
        let mut request = http::Request::new(body);
        *request.method_mut() = self.request.method.clone();
        // The path is from `path_of` or is the service root, so it parses.
        *request.uri_mut() = self.request.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&self.request.headers);
        if let Ok(host) = HeaderValue::from_str(&host(target)) {
            headers.insert(header::HOST, host);
        }
        let fixed = |text| HeaderValue::from_static(text);
        headers.insert(header::ACCEPT, fixed("application/json"));
        headers.insert(header::ACCEPT_ENCODING, fixed("identity"));
        headers.insert(header::USER_AGENT, fixed("bloomery"));
        headers.insert("odata-version", fixed("4.0"));
        if self.request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        }
        headers.extend(self.signature.clone());
        request
    }
}

fn host(target: &Target) -> String {
    let host = target.host.authority();
    match (target.scheme, target.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}
