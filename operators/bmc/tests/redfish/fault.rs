//! What a BMC does instead of answering correctly.

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use std::time::Duration;

/// What happens instead of a correct answer.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This status and this body.
    Answer(u16, String),
    /// Nothing, ever.
    HangBeforeHeader,
    /// A header, one byte of the body, and then nothing more.
    HangInBody,
    /// A body of this many bytes.
    Long(usize),
    /// This many bytes of a body, and then nothing more.
    Drip(usize),
    /// A redirect.
    Redirect(String),
    /// Half of a body, and the end of the connection.
    Cut,
    /// This status, half of a body, and the end of the connection.
    CutAs(u16),
    /// This status, this header and these bytes.
    Raw(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A correct answer, but the connection ends.
    Close,
    /// Reads work; writes get this status.
    OnPatch(u16),
}

/// Carries out the fault.
pub(crate) async fn fail(fault: Fault) -> Response {
    let never = || futures::stream::pending::<Result<&'static str, std::io::Error>>();
    match fault {
        Fault::Answer(status, body) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Fault::Close => StatusCode::OK.into_response(),
        Fault::OnPatch(status) => error(StatusCode::from_u16(status).unwrap(), "not like this"),
        Fault::HangBeforeHeader => std::future::pending().await,
        Fault::Drip(bytes) => {
            let start = vec![b' '; bytes];
            let start = futures::stream::once(async { Ok::<_, std::io::Error>(start) });
            let never = futures::stream::pending();
            Body::from_stream(futures::StreamExt::chain(start, never)).into_response()
        }
        Fault::HangInBody => {
            let start = futures::stream::iter([Ok("{")]);
            Body::from_stream(futures::StreamExt::chain(start, never())).into_response()
        }
        Fault::Long(bytes) => format!("{{\"x\": \"{}\"}}", "x".repeat(bytes)).into_response(),
        Fault::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Fault::Cut | Fault::CutAs(_) => {
            let status = if let Fault::CutAs(status) = fault { status } else { 200 };
            (StatusCode::from_u16(status).unwrap(), half()).into_response()
        }
        Fault::Raw(status, headers, body) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().append(name, value.parse().unwrap());
            }
            response
        }
    }
}

/// Half of a body, and the end of the connection.
pub(crate) fn half() -> Body {
    let broken = futures::stream::unfold(0, |sent| async move {
        if sent == 0 {
            return Some((Ok("{"), 1));
        }
        // The pause lets hyper send what it has.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Err(std::io::Error::other("cut")), 2))
    });
    Body::from_stream(broken)
}

/// An error with this message.
pub(crate) fn error(status: StatusCode, text: &str) -> Response {
    let body = json!({"error": {"@Message.ExtendedInfo": [{"Message": text}]}});
    (status, body.to_string()).into_response()
}
