//! Preconditions of a write (DSP0266, section 6.5).

use crate::transport::etags::Etags;
use http::{HeaderValue, StatusCode};

/// The precondition of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// The ETag in the header; without one, that in the body.
    Etag,
    /// The ETag in quotes, if it comes without (RFC 9110, section 8.8.3, requires them).
    Quoted,
    /// `@odata.etag`, if it differs from that in the header.
    Body,
    /// The ETag as a weak one if it is strong, and vice versa.
    OtherStrength,
    /// The ETag in the body as a weak one if it is strong, and vice versa.
    OtherBody,
    /// Any ETag (`*`).
    Any,
    /// No precondition.
    Without,
    /// The ETag, in the header and as `@odata.etag` in the body (Lenovo XCC).
    InBody,
    /// The ETag without quotes (Gigabyte, AMI).
    Bare,
    /// The ETag in one pair of quotes, if it comes in two.
    Single,
}

/// A precondition as it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SentPrecondition {
    /// `If-Match`.
    pub(crate) header: Option<HeaderValue>,
    /// `@odata.etag`.
    pub(crate) in_body: Option<String>,
}

impl Condition {
    /// All of them, in the order in which they are tried.
    pub(crate) const ALL: [Self; 10] = [
        Self::Etag,
        Self::Quoted,
        Self::Body,
        Self::OtherStrength,
        Self::OtherBody,
        Self::Any,
        Self::Without,
        Self::InBody,
        Self::Bare,
        Self::Single,
    ];

    /// How this condition is sent to a resource with these ETags, or `None` if it cannot be made of
    /// them.
    pub(crate) fn sent(self, etags: &Etags) -> Option<SentPrecondition> {
        let etag = etags.header.as_ref().or(etags.body.as_ref());
        let header = match self {
            Self::Etag | Self::InBody => etag?.clone(),
            Self::Quoted => changed(etag?, quoted)?,
            Self::Body => etags.body.clone().filter(|body| Some(body) != etags.header.as_ref())?,
            Self::OtherStrength => changed(etag?, other_strength)?,
            Self::OtherBody => {
                etags.header.as_ref()?;
                changed(etags.body.as_ref()?, other_strength)?
            }
            Self::Any => HeaderValue::from_static("*"),
            Self::Without => return Some(SentPrecondition::default()),
            Self::Bare => changed(etag?, |etag| Some(opaque(etag)?.trim_matches('"').to_owned()))?,
            Self::Single => changed(etag?, |etag| {
                let doubled = opaque(etag)?.strip_prefix("\"\"")?;
                Some(format!("\"{}\"", doubled.trim_matches('"')))
            })?,
        };
        let text = etag.and_then(|etag| etag.to_str().ok());
        let in_body = text.filter(|_| self == Self::InBody).map(str::to_owned);
        Some(SentPrecondition { header: Some(header), in_body })
    }

    /// Whether it contains an ETag.
    pub(crate) fn needs_etag(self) -> bool {
        !matches!(self, Self::Any | Self::Without)
    }

    /// How it is described in errors.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::Etag => " with the ETag, if any",
            Self::Quoted => " with the ETag in quotes",
            Self::Body => " with the ETag of the body",
            Self::OtherStrength => " with a weak ETag for a strong one",
            Self::OtherBody => " with a weak ETag of the body for a strong one",
            Self::Any => " with If-Match: *",
            Self::Without => " without If-Match",
            Self::InBody => " with the ETag in what is sent",
            Self::Bare => " with the ETag without quotes",
            Self::Single => " with the ETag in one pair of quotes",
        }
    }
}

/// Whether a status means that a precondition failed or is missing.
pub(crate) fn is_precondition(status: StatusCode) -> bool {
    matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED)
}

fn changed(etag: &HeaderValue, change: impl Fn(&str) -> Option<String>) -> Option<HeaderValue> {
    HeaderValue::from_str(&change(etag.to_str().ok()?)?).ok()
}

fn other_strength(etag: &str) -> Option<String> {
    match etag.strip_prefix("W/") {
        Some(strong) => Some(strong.to_owned()),
        None => etag.starts_with('"').then(|| format!("W/{etag}")),
    }
}

fn quoted(etag: &str) -> Option<String> {
    let (weak, opaque) = match etag.strip_prefix("W/") {
        Some(opaque) => ("W/", opaque),
        None => ("", etag),
    };
    (!opaque.is_empty() && !opaque.contains('"')).then(|| format!("{weak}\"{opaque}\""))
}

/// The quoted part of an ETag, without the weakness indicator.
fn opaque(etag: &str) -> Option<&str> {
    let strong = etag.strip_prefix("W/").unwrap_or(etag);
    strong.starts_with('"').then_some(strong)
}
