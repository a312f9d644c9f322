//! What an answer means, whatever was asked for: the one place that says so.

use crate::{
    Target,
    endpoint::Request,
    uri,
    wire::{Reply, WireError},
};
use http::{Method, StatusCode, header};

/// What is read of a body to find out.
const READ: usize = 4 << 10;

/// Whether the BMC, or this resource, is too busy to answer.
pub(crate) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// Whether it may be said because the session is over. It certainly was not done then.
///
/// The standard has 401 for that. Others answer as they do to a browser: 403, a redirect to the page
/// for the login, or that page; or say it in a message (Base registry: `NoValidSession`).
pub(crate) fn may_be_of_session(reply: &Reply, request: &Request, target: &Target) -> bool {
    /// "Login Time-out", and what Laravel and others use for the same.
    const TIMED_OUT: [u16; 2] = [440, 419];
    let text = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(READ)]);
    // What a write is answered with by such means, it may have been carried out all the same.
    let is_read = request.method == Method::GET;
    match reply.status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::FORBIDDEN => !text().contains("InsufficientPrivilege"),
        status if TIMED_OUT.contains(&status.as_u16()) => true,
        status if status.is_redirection() => is_read && moved(reply, request, target).is_none(),
        status if status.is_success() => is_read && is_page(reply),
        _ => {
            let text = text().to_ascii_lowercase().replace([' ', '_', '-'], "");
            let signs = [
                "novalidsession",
                "sessiontimeout",
                "sessiontimedout",
                "sessionexpired",
                "sessionhasexpired",
                "sessionterminated",
                "invalidsession",
                "sessioninvalid",
                "sessionisinvalid",
                "sessionnotfound",
                "invalidtoken",
                "tokenexpired",
            ];
            signs.iter().any(|sign| text.contains(sign))
        }
    }
}

/// Whether the answer is a page for people.
fn is_page(reply: &Reply) -> bool {
    let type_ = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_html = type_.is_some_and(|type_| type_.to_ascii_lowercase().contains("html"));
    let first = reply.body.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'<') || (is_html && first != Some(&b'{'))
}

/// Where the same resource is, if the BMC says that it is at the same path of the same server with
/// or without a slash at its end. Whoever sends there has done nothing. No other redirect is
/// followed: a password could follow it.
pub(crate) fn moved(reply: &Reply, request: &Request, target: &Target) -> Option<String> {
    let is_same_request = matches!(
        reply.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = reply.headers.get(header::LOCATION).filter(|_| is_same_request)?;
    let path = uri::path_on(location.to_str().ok()?, target, &request.path)?;
    let same = |path: &str| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        (path.trim_end_matches('/').to_owned(), query.to_owned())
    };
    (path != request.path && same(&path) == same(&request.path)).then_some(path)
}

/// The answer as far as it counts, if its body is not whole. What was asked for is in the body; what
/// a write or a refusal says is in the status.
pub(crate) fn despite(
    error: WireError,
    reply: Reply,
    request: &Request,
) -> Result<Reply, WireError> {
    let is_answered = !reply.status.is_success() || request.method != Method::GET;
    if is_answered { Ok(Reply { body: bytes::Bytes::new(), ..reply }) } else { Err(error) }
}
