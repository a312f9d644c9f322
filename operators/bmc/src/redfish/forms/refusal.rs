//! Interprets the refusal of a write.

use crate::{
    Error,
    transport::{
        condition::is_precondition,
        etags::Etags,
        message::{self, Refused, reason},
        wire::Reply,
    },
};
use http::{Method, StatusCode};
use serde_json::Value;
use std::{error::Error as StdError, fmt};

/// The refusal of one form.
pub(super) struct Refusal {
    form: String,
    said: String,
    is_about_a_value: bool,
    pub(super) cause: RefusalCause,
}

impl Refusal {
    /// A refusal by a response.
    pub(super) fn answered(form: String, refused: &Refused, cause: RefusalCause) -> Self {
        let is_about_a_value = refused.is_about_a_value();
        Self { form, said: refused.to_string(), is_about_a_value, cause }
    }

    /// The refusal of an ETag, although it was that of the resource.
    pub(super) fn of_etag(form: String, etags: Etags) -> Self {
        let said = format!("HTTP {}", StatusCode::PRECONDITION_FAILED);
        let cause = RefusalCause { condition: true, ..RefusalCause::of(StatusCode::OK, etags) };
        Self { form, said, is_about_a_value: false, cause }
    }

    /// A refusal by giving no answer.
    pub(super) fn unanswered(form: String, error: &Error, etags: Etags) -> Self {
        let cause = RefusalCause::of(StatusCode::NOT_FOUND, etags);
        Self { form, said: reason(error), is_about_a_value: false, cause }
    }
}

/// A BMC refused a write in all its forms, or in those that there was time for.
#[derive(Debug)]
pub(crate) struct AllRefused {
    said: Vec<String>,
    is_about_a_value: bool,
    tried: Option<TriedForms>,
}

/// The forms that were tried.
#[derive(Debug, thiserror::Error)]
#[error("tried {}", .0.join("; "))]
struct TriedForms(Vec<String>);

impl fmt::Display for AllRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said.join("; "))
    }
}

impl StdError for AllRefused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.tried.as_ref().map(|tried| tried as _)
    }
}

impl AllRefused {
    pub(super) fn new(refusals: Vec<Refusal>) -> Self {
        let is_about_a_value = refusals.iter().all(|refusal| refusal.is_about_a_value);
        let (mut said, mut tried): (Vec<String>, Vec<String>) = (vec![], vec![]);
        for refusal in refusals {
            if !said.contains(&refusal.said) {
                said.push(refusal.said);
            }
            tried.push(refusal.form);
        }
        Self { said, is_about_a_value, tried: (tried.len() > 1).then_some(TriedForms(tried)) }
    }

    /// The same, if there was no time for other forms.
    pub(super) fn interrupted(mut self, why: &Error) -> Self {
        self.said.push(reason(why));
        self.is_about_a_value = false;
        self
    }

    /// The same, if one call does not try all of them.
    pub(super) fn unfinished(mut self) -> Self {
        self.said.push("other forms are left, and the next attempt tries them".to_owned());
        self.is_about_a_value = false;
        self
    }

    /// Whether the BMC does not know a value that it was sent, whatever the state of the machine.
    pub(crate) fn is_about_a_value(&self) -> bool {
        self.is_about_a_value
    }
}

/// What a refusal blames.
pub(super) struct RefusalCause {
    pub(super) status: StatusCode,
    pub(super) condition: bool,
    pub(super) names: Vec<String>,
    /// The ETags that the resource has now.
    pub(super) etags: Etags,
}

impl RefusalCause {
    /// What a status alone blames: the resource, or nothing.
    pub(super) fn of(status: StatusCode, etags: Etags) -> Self {
        Self { status, condition: false, names: vec![], etags }
    }

    /// What a response blames.
    pub(super) fn read(reply: &Reply, body: &Value, etags: Etags) -> Self {
        // Messages may be in any language, but their ids are not.
        let text =
            format!("{} {}", message::messages(body).unwrap_or_default(), message::ids(body));
        let text = text.to_ascii_lowercase();
        let condition = is_precondition(reply.status)
            || ["if-match", "etag", "precondition"].iter().any(|word| text.contains(word));
        Self { status: reply.status, condition, names: message::named(body), etags }
    }

    /// Whether the resource that was written to may be to blame.
    pub(super) fn is_of_resource(&self) -> bool {
        matches!(
            self.status,
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        )
    }
}

/// Whether another form may be accepted after this one was refused. This holds if the refusal is
/// not about the user or the state of the machine, and nothing was done. If a PATCH caused an internal
/// error, as unknown properties do, or has a status of success and a refusal in the body, something may
/// have been done, but a PATCH may be repeated; a reset in another form would be a second one.
pub(super) fn is_of_form(status: StatusCode, method: &Method) -> bool {
    let other = [
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::LOCKED,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let is_unclear = status.is_success() || status == StatusCode::INTERNAL_SERVER_ERROR;
    (status.is_client_error() && !other.contains(&status))
        || status == StatusCode::NOT_IMPLEMENTED
        || (is_unclear && *method == Method::PATCH)
}
