//! Changes how an answer says what it says, whatever it is about.

use super::reply::{Content, Reply};
use http::header::{ETAG, HeaderValue};
use serde_json::{Value, json};

const MESSAGES: &str = "@Message.ExtendedInfo";

/// Attaches the messages of a refusal to the property that they are about, which is their last argument.
pub(super) fn attach_messages(reply: &mut Reply) {
    let Content::Json(body) = &mut reply.content else { return };
    let message = &body["error"][MESSAGES][0];
    let about = message["MessageArgs"].as_array().and_then(|args| args.last()?.as_str());
    if let Some(property) = about {
        *body = json!({ format!("{property}{MESSAGES}"): [message] });
    }
}

/// Removes the quotes of the ETag, in the header and in the body.
pub(super) fn strip_quotes(reply: &mut Reply) {
    let bare = |etag: &str| etag.trim_matches('"').to_owned();
    let header = reply.headers.get(ETAG).and_then(|etag| etag.to_str().ok());
    if let Some(etag) = header.and_then(|etag| HeaderValue::from_str(&bare(etag)).ok()) {
        reply.headers.insert(ETAG, etag);
    }
    if let Content::Json(Value::Object(body)) = &mut reply.content
        && let Some(Value::String(etag)) = body.get_mut("@odata.etag")
    {
        *etag = bare(etag);
    }
}
