//! What a BMC says when it refuses a request (DSP0266, section 8.6: error responses).

use crate::{
    Error, Target,
    transport::{
        json,
        redact::{Secret, without_capabilities},
        wire::{Reply, Unanswered},
    },
};
use http::{StatusCode, header};
use metal_base::Chain;
use metal_core::redfish::Scheme;
use serde_json::Value;
use std::{error::Error as StdError, fmt};

/// Longest text of a response that is repeated.
const LONGEST: usize = 300;

/// Most memory that an error response may take.
const READ: usize = 512 << 10;
/// How many bytes are read of an error response that is not JSON.
const READ_TEXT: usize = 4 << 10;

/// A BMC answered with an error.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    text: Option<String>,
    is_about_a_value: bool,
}

impl Refused {
    /// Interprets the response. The secret is kept out of the text, even if the BMC echoes it.
    pub(crate) fn new(status: StatusCode, body: &[u8], secret: &Secret) -> Self {
        let text = said(body).map(|text| secret.removed_from(text));
        // Message keys of the Base registry.
        let keys = [
            "ActionParameterValueNotInList",
            "ActionParameterValueFormatError",
            "ActionParameterValueTypeError",
            "ActionParameterValueError",
            "ActionParameterNotSupported",
            "ActionParameterUnknown",
            "ActionNotSupported",
            "PropertyValueNotInList",
            "PropertyValueIncorrect",
            "PropertyValueError",
        ];
        let start = String::from_utf8_lossy(&body[..body.len().min(READ_TEXT)]);
        let is_about_a_value = keys.iter().any(|key| start.contains(key));
        Self { status, text: text.map(|text| bounded(&text)), is_about_a_value }
    }

    /// Interprets a response, and adds what to do about it if the BMC does not say.
    pub(crate) fn read(reply: &Reply, target: &Target, secret: &Secret) -> Self {
        let refused = Self::new(reply.status, &reply.body, secret);
        if target.scheme == Scheme::Http && is_sent_to_https(reply) {
            let advice = "it redirects to https; set protocol.scheme to https";
            return Self { text: Some(advice.to_owned()), ..refused };
        }
        refused
    }

    /// Whether the error is about a value that the BMC does not know.
    pub(crate) fn is_about_a_value(&self) -> bool {
        self.is_about_a_value
    }

    /// Whether the resource, or the method on it, does not exist.
    pub(crate) fn is_absent(&self) -> bool {
        let absent = [
            StatusCode::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED,
            StatusCode::GONE,
            StatusCode::NOT_IMPLEMENTED,
        ];
        absent.contains(&self.status)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "HTTP {}: {text}", self.status.as_u16()),
            None => write!(f, "HTTP {}", self.status),
        }
    }
}

impl StdError for Refused {}

fn is_sent_to_https(reply: &Reply) -> bool {
    let location = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let is_https = |link: &str| link.trim().to_ascii_lowercase().starts_with("https://");
    reply.status.is_redirection() && location.is_some_and(is_https)
}

/// What a service annotates with messages: a whole response, or with its name before, one property.
const EXTENDED: &str = "@Message.ExtendedInfo";
/// At most this many messages are read.
const ENTRIES: usize = 8;

/// The messages in a body, if it has any: those about the whole request, else those that are
/// attached to a property.
pub(crate) fn messages(body: &Value) -> Option<String> {
    let error = match &body["error"] {
        Value::Null => body,
        error => error,
    };
    let attached = attached(body);
    let entries = match list(&error[EXTENDED]) {
        [] | [Value::Null] => attached.iter().map(|(_, entry)| *entry).collect(),
        entries => entries.iter().collect::<Vec<_>>(),
    };
    let all = |name: &str| clean(&texts(&entries, name).join(" "));
    let (messages, ids) = (all("Message"), all("MessageId"));
    // Dell iDRAC 7 and 8 have an object with a language, and AMI has nothing but a text.
    let said = [&error["message"], &error["message"]["value"], error];
    let message = said.into_iter().find_map(Value::as_str).map(clean).unwrap_or_default();
    match (messages.is_empty(), message.is_empty(), ids.is_empty()) {
        (false, _, _) => Some(messages),
        (true, false, true) => Some(message),
        (true, false, false) => Some(format!("{message} ({ids})")),
        (true, true, false) => Some(ids),
        (true, true, true) => None,
    }
}

/// The ids of the messages in a body, which are the same in every language.
pub(crate) fn ids(body: &Value) -> String {
    texts(&entries(body), "MessageId").join(" ")
}

/// Whether a body says that the request has failed, whatever the status: some firmware answers 200.
/// It has a message that is critical, and none that says that all is well. HPE iLO answers success
/// with an `error`, too.
pub(crate) fn is_failure(body: &Value) -> bool {
    let whole = || [&body["error"][EXTENDED], &body[EXTENDED]].into_iter().flat_map(list);
    let is_success = |entry: &Value| {
        let id = entry["MessageId"].as_str().unwrap_or_default();
        id.ends_with(".Success") || has_severity(entry, "OK")
    };
    whole().any(|entry| has_severity(entry, "Critical")) && !whole().any(is_success)
}

/// Whether a message has this severity, by the newer name of the property or the older one.
fn has_severity(entry: &Value, severity: &str) -> bool {
    let names = ["MessageSeverity", "Severity"];
    let said = |name: &str| entry[name].as_str();
    names.into_iter().filter_map(said).any(|said| said.eq_ignore_ascii_case(severity))
}

/// Whether what was to be a resource is an error.
pub(crate) fn is_error(body: &Value) -> bool {
    body.get("@odata.id").is_none() && is_failure(body)
}

/// Whether a body that is not parsed yet says that the request has failed.
pub(crate) fn tells_failure(body: &[u8]) -> bool {
    json::value(body, READ).is_ok_and(|body| is_failure(&body))
}

/// What the messages in a body are about: the properties that they are attached to, and the names
/// in their arguments, in their related properties, and in their texts.
pub(crate) fn named(body: &Value) -> Vec<String> {
    const MOST: usize = 128;
    let entries = entries(body);
    let lists = entries.iter().copied().flat_map(|entry| {
        let names = ["RelatedProperties", "MessageArgs"];
        names.into_iter().flat_map(|name| entry[name].as_array().into_iter().flatten())
    });
    let texts = entries.iter().copied().map(|entry| &entry["Message"]);
    let texts = lists.chain(texts).chain([&body["error"]["message"]]).filter_map(Value::as_str);
    let attached = attached(body);
    let texts = attached.iter().map(|(property, _)| *property).chain(texts);
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '@' | '.' | '_');
    let words = texts.flat_map(|text| text.split(move |c| !is_of_name(c)));
    let words = words.map(|word| word.trim_matches('.')).filter(|word| word.len() > 2);
    words.take(MOST).map(str::to_owned).collect()
}

/// The messages in a body, wherever they are.
fn entries(body: &Value) -> Vec<&Value> {
    let whole = [&body["error"][EXTENDED], &body[EXTENDED]].into_iter().flat_map(list);
    let attached = attached(body).into_iter().map(|(_, entry)| entry);
    whole.chain(attached).take(ENTRIES).collect()
}

/// Messages that are attached to a property, with its name or path: OpenBMC says in this way what is
/// wrong with a request, often in no other.
fn attached(body: &Value) -> Vec<(&str, &Value)> {
    let objects = [body, &body["error"], &body["Boot"]].into_iter().filter_map(Value::as_object);
    let annotations = objects.flatten().filter_map(|(name, entries)| {
        let property = name.strip_suffix(EXTENDED).filter(|property| !property.is_empty())?;
        Some((property, entries))
    });
    let messages =
        annotations.flat_map(|(name, entries)| list(entries).iter().map(move |it| (name, it)));
    messages.take(ENTRIES).collect()
}

/// The entries of a list, or the only one without a list around it.
fn list(entries: &Value) -> &[Value] {
    match entries {
        Value::Array(entries) => entries.as_slice(),
        entry => std::slice::from_ref(entry),
    }
}

/// The first few values of this name; there is seldom more than one.
fn texts<'a>(entries: &[&'a Value], name: &str) -> Vec<&'a str> {
    entries.iter().filter_map(|entry| entry[name].as_str()).take(3).collect()
}

fn said(body: &[u8]) -> Option<String> {
    if let Ok(body) = json::value(body, READ) {
        return messages(&body);
    }
    let text = clean(&String::from_utf8_lossy(&body[..body.len().min(READ_TEXT)]));
    (!text.is_empty() && !text.starts_with('<')).then_some(text)
}

/// The text on one line.
fn clean(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// The text without capabilities, cut to a readable length: what a cut leaves of one could not be
/// recognized.
pub(crate) fn bounded(text: &str) -> String {
    let text = without_capabilities(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Why something could not be read, for a reader who knows what it was.
pub(crate) fn reason(error: &Error) -> String {
    match error {
        Error::Unreachable(source) if source.is::<Unanswered>() => {
            source.source().map_or_else(|| source.to_string(), |cause| Chain(cause).to_string())
        }
        Error::Failed { source, .. }
        | Error::Misbehaving { source, .. }
        | Error::Unreachable(source) => Chain(source.as_ref()).to_string(),
        Error::Unauthorized | Error::SessionsFull(_) | Error::Withdrawn(_) => {
            Chain(error).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> String {
        Refused::new(StatusCode::BAD_REQUEST, body.as_bytes(), &Secret::new("hunter2")).to_string()
    }

    #[test]
    fn extended_messages_are_repeated_on_one_line() {
        let body = r#"{"error": {"code": "Base.1.8.GeneralError", "message": "See below.",
            "@Message.ExtendedInfo": [
                {"MessageId": "Base.1.8.PropertyNotWritable", "Message": "It is\n read only."},
                {"MessageId": "Base.1.8.Other"}]}}"#;
        assert_eq!(text(body), "HTTP 400: It is read only.");
        let named = r#"{"error": {"message": "See below.",
            "@Message.ExtendedInfo": {"MessageId": "iLO.2.13.NoPower"}}}"#;
        assert_eq!(text(named), "HTTP 400: See below. (iLO.2.13.NoPower)");
        assert_eq!(text(r#"{"error": {"message": "No."}}"#), "HTTP 400: No.");
        let in_a_language =
            r#"{"error": {"code": "1", "message": {"lang": "en-us", "value": "No."}}}"#;
        assert_eq!(text(in_a_language), "HTTP 400: No.");
        assert_eq!(text(r#"{"cc": 7, "error": "No."}"#), "HTTP 400: No.");
        assert_eq!(text("Only Boot works"), "HTTP 400: Only Boot works");
    }

    #[test]
    fn a_message_that_is_attached_to_a_property_is_repeated_and_names_it() {
        let attached = r#"{"Boot/MediaType@Message.ExtendedInfo": [
            {"MessageId": "Base.1.8.1.PropertyMissing", "Message": "It is required."}]}"#;
        assert_eq!(text(attached), "HTTP 400: It is required.");
        assert_eq!(named(&attached.parse().unwrap())[..2], ["Boot", "MediaType"]);
        let both = r#"{"A@Message.ExtendedInfo": [{"Message": "It is unknown."}],
            "error": {"@Message.ExtendedInfo": [{"Message": "It lacks Bbb."}]}}"#;
        assert_eq!(text(both), "HTTP 400: It lacks Bbb.");
        assert!(named(&both.parse().unwrap()).contains(&"Bbb".to_owned()));
        let nested = r#"{"Boot": {"Mode@Message.ExtendedInfo": {"MessageId": "X.ReadOnly"}}}"#;
        assert_eq!(text(nested), "HTTP 400: X.ReadOnly");
        assert_eq!(named(&nested.parse().unwrap()), ["Mode"]);
    }

    #[test]
    fn an_error_is_one_that_is_critical_and_does_not_say_that_all_is_well() {
        let critical = r#"{"MessageId": "Base.1.8.InternalError", "Severity": "Critical"}"#;
        let newer = r#"{"MessageSeverity": "Critical"}"#;
        let success = r#"{"MessageId": "Base.1.8.Success"}"#;
        let fine = r#"{"MessageId": "X.1.0.Done", "Severity": "OK"}"#;
        let warning = r#"{"MessageId": "iLO.2.14.SystemResetRequired", "Severity": "Warning"}"#;
        for (entries, is_error) in [
            (critical.to_owned(), true),
            (newer.to_owned(), true),
            (format!("{warning},{critical}"), true),
            (format!("{critical},{success}"), false),
            (format!("{fine},{critical}"), false),
            (success.to_owned(), false),
            (warning.to_owned(), false),
            (String::new(), false),
        ] {
            let whole = format!(r#"{{"@Message.ExtendedInfo": [{entries}]}}"#);
            assert_eq!(tells_failure(whole.as_bytes()), is_error, "{entries}");
            let error = format!(r#"{{"error": {whole}}}"#);
            assert_eq!(tells_failure(error.as_bytes()), is_error, "{entries}");
        }
        assert!(tells_failure(format!(r#"{{"@Message.ExtendedInfo": {critical}}}"#).as_bytes()));
        assert!(!tells_failure(b"") && !tells_failure(b"<html>Critical</html>"));
    }

    #[test]
    fn a_body_that_says_nothing_leaves_the_status() {
        for body in ["", "<html>oops</html>", "{}", "[1]", r#"{"error": 3}"#] {
            assert_eq!(text(body), "HTTP 400 Bad Request", "{body}");
        }
    }

    #[test]
    fn a_capability_is_hidden_before_the_text_is_cut() {
        let token = "Aa1-_".repeat(30);
        for before in [0, LONGEST - 60, LONGEST - 1] {
            let said = format!("{} http://10.0.0.1/media/{token}.iso", "x ".repeat(before / 2));
            let text = text(&said);
            assert!(!text.contains(&token[..5]), "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_and_secrets_are_not_repeated() {
        let long = text(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), "HTTP 400: ".len() + LONGEST + "...".len());
        let echo = text(r#"{"error": {"message": "The value hunter2 is wrong"}}"#);
        assert_eq!(echo, "HTTP 400: The value *** is wrong");
        // base64 of root:hunter2, which is sent when there is no session.
        let echo = text("no access with Basic cm9vdDpodW50ZXIy");
        assert_eq!(echo, "HTTP 400: no access with Basic ***");
    }
}
