//! A request with its authentication.

use crate::endpoint::{Endpoint, Request};
use http::{HeaderName, HeaderValue, header};
use http_body_util::Full;
use metal_core::redfish::Scheme;

/// A request, and how it is authenticated.
pub(crate) struct AuthenticatedRequest<'a> {
    pub(crate) request: &'a Request,
    pub(crate) signature: Option<(HeaderName, HeaderValue)>,
}

impl AuthenticatedRequest<'_> {
    pub(crate) fn to_http(&self, at: &Endpoint) -> http::Request<Full<bytes::Bytes>> {
        let body = Full::new(self.request.body.clone().unwrap_or_default());
        let mut request = http::Request::new(body);
        *request.method_mut() = self.request.method.clone();
        // The path is from `path_of` or is the service root, so it parses.
        *request.uri_mut() = self.request.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&self.request.headers);
        if let Ok(host) = HeaderValue::from_str(&host(at)) {
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

fn host(at: &Endpoint) -> String {
    let host = at.target.host.authority();
    match (at.target.scheme, at.target.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}
