//! Classifies a response, whatever was asked for. Nothing else in this crate does.

use crate::{
    Target,
    transport::{
        message::tells_failure,
        request::Request,
        uri,
        wire::{Reply, WireError},
    },
};
use http::{Method, StatusCode, header};

/// How many bytes of a body are examined to classify it.
const READ: usize = 4 << 10;

/// Whether the BMC, or this resource, reports that it is too busy to answer.
pub(crate) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}

/// Whether the response may mean that the session has expired. If so, the request was certainly not
/// carried out.
///
/// The standard status is 401. Other firmware answers as it would a browser (403, a redirect to the
/// login page, or that page itself) or with a message (Base registry: `NoValidSession`).
pub(crate) fn may_be_of_session(reply: &Reply, request: &Request, target: &Target) -> bool {
    /// 440 "Login Time-out"; 419, used by Laravel and others for the same.
    const TIMED_OUT: [u16; 2] = [440, 419];
    let text = || String::from_utf8_lossy(&reply.body[..reply.body.len().min(READ)]);
    // A write that is answered in one of these non-standard ways may have been carried out.
    let is_read = request.method == Method::GET;
    match reply.status {
        StatusCode::UNAUTHORIZED => true,
        // A page, as for a browser, says what a page says.
        StatusCode::FORBIDDEN => {
            (is_page(reply) || !is_of_request(&text())) && !wants_new_password(reply)
        }
        status if TIMED_OUT.contains(&status.as_u16()) => true,
        status if status.is_redirection() => is_read && moved(reply, request, target).is_none(),
        status if status.is_success() => {
            let is_told = || says_error(&reply.body) && is_over(&text());
            is_read && (is_page(reply) || is_told() && tells_failure(&reply.body))
        }
        _ => is_over(&text()),
    }
}

/// Whether a body begins as an error does, which is found out without parsing it.
fn says_error(body: &[u8]) -> bool {
    const START: usize = 64;
    String::from_utf8_lossy(&body[..body.len().min(START)]).contains("error")
}

/// Whether a text says that a session is over.
fn is_over(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace([' ', '_', '-'], "");
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

/// Whether a refusal says what is wrong with the request: the privilege of the account, a license that
/// the BMC lacks (Supermicro: `OemLicenseNotPassed`), or a property that is read-only (OpenBMC).
fn is_of_request(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["insufficientprivilege", "license", "notwritable"].iter().any(|sign| text.contains(sign))
}

/// Whether the BMC grants nothing but a change of the password, which is right (Base registry:
/// `PasswordChangeRequired`). Dell iDRAC 9 has words of its own (SWC1908).
pub(crate) fn wants_new_password(reply: &Reply) -> bool {
    let text = String::from_utf8_lossy(&reply.body[..reply.body.len().min(READ)]);
    let text = text.to_ascii_lowercase();
    let signs = ["passwordchangerequired", "must be changed"];
    reply.status == StatusCode::FORBIDDEN && signs.iter().any(|sign| text.contains(sign))
}

/// Whether the body is a web page.
fn is_page(reply: &Reply) -> bool {
    let type_ = reply.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_html = type_.is_some_and(|type_| type_.to_ascii_lowercase().contains("html"));
    let first = reply.body.iter().find(|byte| !byte.is_ascii_whitespace());
    first == Some(&b'<') || (is_html && first != Some(&b'{'))
}

/// The path to retry at, if the BMC redirects to the same path on the same server with a trailing
/// slash added or removed. A BMC that redirects has not carried out the request. No other redirect
/// is followed, because a password could be sent along with it.
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

/// Salvages a response whose body is incomplete. What a write did, or why a request was refused, is
/// in the status; what a read asked for is in the body, so a read still fails.
pub(crate) fn despite(
    error: WireError,
    reply: Reply,
    request: &Request,
) -> Result<Reply, WireError> {
    let is_answered = !reply.status.is_success() || request.method != Method::GET;
    if is_answered { Ok(Reply { body: bytes::Bytes::new(), ..reply }) } else { Err(error) }
}
