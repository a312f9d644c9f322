//! Changes how an answer says what it says, whatever it is about.

use super::reply::{Content, Reply};
use http::header::{ETAG, HeaderValue};
use serde_json::{Value, json};

const MESSAGES: &str = "@Message.ExtendedInfo";

/// Attaches the message of a refusal to the property or parameter that it is about, if it is about one.
pub(super) fn attach_messages(reply: &mut Reply) {
    let Content::Json(body) = &mut reply.content else { return };
    let message = &body["error"][MESSAGES][0];
    if let Some(name) = subject(message) {
        *body = json!({ format!("{name}{MESSAGES}"): [message] });
    }
}

/// The property or parameter that a message is about: where its name stands depends on the message.
fn subject(message: &Value) -> Option<&str> {
    let id = message["MessageId"].as_str()?.rsplit('.').next()?;
    let args = message["MessageArgs"].as_array()?;
    let name = match id {
        "PropertyValueConflict" => args.first(),
        _ if id.starts_with("Property") => args.last(),
        _ if id.starts_with("ActionParameter") => args.get(1),
        _ => None,
    };
    name?.as_str()
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

#[cfg(test)]
mod tests {
    use super::{super::problem::Problem, *};

    #[test]
    fn a_message_is_attached_to_what_it_is_about_if_that_is_a_property_or_a_parameter() {
        for (problem, place) in [
            (Problem::unknown_property("Mode"), "Mode@Message.ExtendedInfo"),
            (Problem::not_in_list("Fast", "Mode"), "Mode@Message.ExtendedInfo"),
            (Problem::value_conflict("Mode", "Target"), "Mode@Message.ExtendedInfo"),
            (Problem::parameter_missing("Insert", "Image"), "Image@Message.ExtendedInfo"),
            (Problem::parameter_not_in_list("A", "Kind", "Insert"), "Kind@Message.ExtendedInfo"),
            (Problem::no_such_resource("/redfish/v1/None"), "error"),
            (Problem::in_use(), "error"),
        ] {
            let mut reply = Reply::from(problem);
            attach_messages(&mut reply);
            let Content::Json(body) = &reply.content else { unreachable!("it has a body") };
            assert!(!body[place].is_null(), "{place}: {body}");
        }
    }
}
