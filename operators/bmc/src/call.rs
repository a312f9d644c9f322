//! One call of a [`Bmc`](crate::Bmc) method: several requests under one deadline.

use crate::{
    Error, Permit,
    breaker::Failure,
    endpoint::{Endpoint, Request},
    message::Refused,
    root::Root,
    uri,
    wire::{Reply, WireError},
};
use http::{HeaderValue, Method, header};
use serde_json::Value;
use std::{borrow::Cow, error::Error as StdError, net::IpAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A call under way.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    endpoint: &'a Endpoint,
    until: Instant,
    permit: &'a Permit,
}

/// A resource that was read.
pub(crate) struct Resource {
    pub(crate) body: Value,
    pub(crate) etag: Option<HeaderValue>,
}

/// The time for a call is over.
#[derive(Debug, thiserror::Error)]
#[error("the call took too long")]
struct Late;

/// A BMC sent something that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the answer is no JSON object")]
    NoObject,
    #[error("the answer is not JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("{0:?} is no URI of this BMC")]
    Uri(String),
}

impl<'a> Call<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint, permit: &'a Permit, time: Duration) -> Self {
        Self { endpoint, permit, until: Instant::now() + time }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.endpoint.target.address
    }

    /// Between two looks at a task.
    pub(crate) fn task_poll(&self) -> Duration {
        self.endpoint.shared.config.limits.task_poll
    }

    /// Whether there is no more time for another request.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits, but not for longer than the call may take. Tells whether time is left.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        tokio::time::sleep_until((Instant::now() + time).min(self.until)).await;
        !self.is_over()
    }

    pub(crate) async fn root(&self) -> Result<Arc<Root>, Error> {
        timeout_at(self.until, self.endpoint.root()).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a request and returns its answer, whatever that is.
    pub(crate) async fn send(&self, request: &Request) -> Result<Reply, Error> {
        let request = match request.method {
            Method::GET | Method::HEAD => Cow::Borrowed(request),
            _ => Cow::Owned(request.permitted(self.permit)),
        };
        let answer = self.endpoint.exchange(&request);
        timeout_at(self.until, answer).await.unwrap_or_else(|_| Err(late()))
    }

    /// Reads a resource.
    pub(crate) async fn get(&self, link: &str) -> Result<Resource, Error> {
        let path = self.path(link)?;
        let reply = self.send(&Request::new(Method::GET, &path)).await?;
        let action = || format!("get {path}");
        self.succeed(&reply, action)?;
        let body = object(&reply.body).map_err(|source| failed(action(), source))?;
        let header = reply.headers.get(header::ETAG).cloned();
        let etag = header.or_else(|| HeaderValue::from_str(body["@odata.etag"].as_str()?).ok());
        Ok(Resource { body, etag })
    }

    /// The path to send for a link that a BMC or a caller gave.
    pub(crate) fn path(&self, link: &str) -> Result<String, Error> {
        uri::path_of(link, self.address()).ok_or_else(|| {
            let link: String = link.chars().take(200).collect();
            failed("follow a link".to_owned(), Unusable::Uri(link))
        })
    }

    /// An error for an answer that is none of success.
    pub(crate) fn succeed(
        &self,
        reply: &Reply,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        if reply.status.is_success() { Ok(()) } else { Err(self.refusal(reply, action())) }
    }

    /// The error that an answer is.
    pub(crate) fn refusal(&self, reply: &Reply, action: String) -> Error {
        let credentials = self.endpoint.credentials();
        let password = credentials.as_ref().map_or("", |known| known.password.as_str());
        failed(action, Refused::new(reply.status, &reply.body, &[password]))
    }
}

fn late() -> Error {
    Error::Unreachable(Late.into())
}

/// The BMC failed to do this, for that reason.
pub(crate) fn failed(action: String, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Failed { action, source: source.into() }
}

/// A body that is a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Value, Unusable> {
    match serde_json::from_slice(body) {
        Ok(body @ Value::Object(_)) => Ok(body),
        Ok(_) => Err(Unusable::NoObject),
        Err(error) => Err(Unusable::NoJson(error)),
    }
}

/// Whether an error means that asking this BMC for something else is no use. A resource that hangs
/// or breaks the connection says nothing about the others.
pub(crate) fn is_fatal(error: &Error) -> bool {
    match error {
        Error::Unauthorized | Error::Withdrawn(_) => true,
        Error::Unreachable(source) => {
            source.downcast_ref::<WireError>().is_none_or(|error| error.failure() == Failure::Dead)
        }
        Error::Failed { .. } => false,
    }
}
