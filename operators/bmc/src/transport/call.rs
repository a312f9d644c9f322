//! One call of a [`Bmc`](crate::Bmc) method: several requests under one deadline.

use crate::{
    BmcHost, Error, Permit, Target,
    transport::{
        etags::Etags,
        limits::budget::{Budget, LimitExceeded, misbehaving},
        memory::Memory,
        message::{self, Refused},
        recent::Recent,
        request::Request,
        root::Root,
        session::endpoint::Endpoint,
        uri,
        wire::{Reply, Unanswered},
    },
};
use http::{HeaderValue, Method, header};
use serde_json::Value;
use std::{borrow::Cow, error::Error as StdError, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// A call in progress.
pub(crate) struct Call<'a> {
    endpoint: &'a Endpoint,
    until: Instant,
    permit: &'a Permit,
    budget: Budget<'a>,
}

/// A resource that was read.
#[derive(Default)]
pub(crate) struct Resource {
    pub(crate) body: Value,
    pub(crate) etags: Etags,
}

impl Resource {
    /// A resource that came with another one: the header of that response is not about it.
    pub(crate) fn without_header(body: Value) -> Self {
        let etag = body["@odata.etag"].as_str().filter(|etag| !etag.is_empty());
        let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        Self { body, etags: Etags { header: None, body: etag } }
    }
}

/// The time for a call is over.
#[derive(Debug, thiserror::Error)]
#[error("the operation took too long")]
struct TimedOut;

/// The BMC sent something that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{0:?} is not a URI of this BMC")]
    Uri(String),
}

impl<'a> Call<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint, permit: &'a Permit, time: Duration) -> Self {
        Self { endpoint, permit, until: Instant::now() + time, budget: endpoint.peer.budget() }
    }

    pub(crate) fn host(&self) -> &BmcHost {
        &self.target().host
    }

    /// How long to wait between two polls of a task.
    pub(crate) fn task_poll(&self) -> Duration {
        self.endpoint.peer.shared.config.limits.task_poll
    }

    /// Whether there is no more time for another request.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Waits for this long, or until the call's deadline. Returns whether there is time left.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        tokio::time::sleep_until((Instant::now() + time).min(self.until)).await;
        !self.is_over()
    }

    pub(crate) async fn root(&self) -> Result<Arc<Root>, Error> {
        self.in_time(self.endpoint.root(&self.budget)).await
    }

    /// The answer to a request, if it comes within the time of the call, and while this may keep
    /// what others wait for.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        // On the heap: as an argument that is moved, it would be twice in all that waits for it.
        let answer = Box::pin(answer);
        tokio::select! {
            biased;
            excess = self.budget.outstayed() => Err(Error::Unreachable(excess.into())),
            answer = timeout_at(self.until, answer) => answer.unwrap_or_else(|_| Err(late())),
        }
    }

    /// What was decided on was just read again: the permit to write counts from now on.
    pub(crate) fn renew_permit(&self) {
        self.permit.renew();
    }

    /// Sends a request and returns its response, whatever its status.
    pub(crate) async fn send(&self, request: &Request) -> Result<Reply, Error> {
        if self.is_over() {
            return Err(late());
        }
        let request = match request.method {
            Method::GET | Method::HEAD => Cow::Borrowed(request),
            _ => {
                self.recent().forget(self.target());
                Cow::Owned(request.permitted(self.permit))
            }
        };
        self.in_time(self.endpoint.exchange(&request, &self.budget)).await
    }

    /// Reads a resource.
    pub(crate) async fn get(&self, link: &str) -> Result<Resource, Error> {
        let path = Self::path(link)?;
        let reply = self.send(&Request::new(Method::GET, &path)).await?;
        let action = || format!("get {path}");
        self.succeed(&reply, action)?;
        let body = self.object(&reply.body, action).await?;
        if message::is_error(&body) {
            return Err(self.refusal(&reply, action()));
        }
        let mut resource = Resource::without_header(body);
        resource.etags.header = reply.headers.get(header::ETAG).cloned();
        Ok(resource)
    }

    /// The JSON object in the response to a request.
    pub(crate) async fn object(
        &self,
        body: &[u8],
        action: impl FnOnce() -> String,
    ) -> Result<Value, Error> {
        let object = self.budget.object(body);
        let object = timeout_at(self.until, object).await.map_err(|_| late())?;
        match object {
            Ok(object) => object.map_err(|error| failed(action(), error)),
            Err(excess) => Err(misbehaving(action(), excess)),
        }
    }

    /// The path to request for a link from a BMC or a caller.
    pub(crate) fn path(link: &str) -> Result<String, Error> {
        uri::path_of(link).ok_or_else(|| {
            let link: String = link.chars().take(200).collect();
            failed("follow a link".to_owned(), Unusable::Uri(link))
        })
    }

    /// A system was read.
    pub(crate) fn saw_system(&self, uri: &str, system: &Resource) {
        self.recent().saw(self.target(), uri, (&system.body, &system.etags));
    }

    /// What is used of a system, if it was read within this time and the BMC was not written to since.
    pub(crate) fn system_within(&self, age: Duration, uri: &str) -> Option<Resource> {
        let (body, etags) = self.recent().within(age, self.target(), uri)?;
        Some(Resource { body, etags })
    }

    fn recent(&self) -> &Recent {
        &self.endpoint.peer.shared.recent
    }

    fn target(&self) -> &Target {
        &self.endpoint.peer.target
    }

    /// Turns a response without a success status into an error.
    pub(crate) fn succeed(
        &self,
        reply: &Reply,
        action: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        if reply.status.is_success() { Ok(()) } else { Err(self.refusal(reply, action())) }
    }

    /// The error for a response.
    pub(crate) fn refusal(&self, reply: &Reply, action: String) -> Error {
        failed(action, self.refused(reply))
    }

    /// What a response without a success status says.
    pub(crate) fn refused(&self, reply: &Reply) -> Refused {
        Refused::read(reply, &self.endpoint.peer.target, &self.endpoint.peer.password())
    }

    /// Text from a BMC, without the password and cut to a readable length.
    pub(crate) fn redacted(&self, text: String) -> String {
        message::bounded(&self.endpoint.peer.password().removed_from(text))
    }

    /// What is remembered of the BMC.
    pub(crate) fn memory(&self) -> &'a Memory {
        &self.endpoint.peer.memory
    }
}

fn late() -> Error {
    Error::Unreachable(TimedOut.into())
}

/// The BMC failed to do this, for that reason.
pub(crate) fn failed(action: String, source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Failed { action, source: source.into() }
}

/// Whether an error means that asking this BMC for something else is no use.
pub(crate) fn is_fatal(error: &Error) -> bool {
    !concerns_one_resource(error)
}

/// Whether an error says nothing about other resources: this one hangs, breaks the connection, is
/// too long or is refused, or the call's time was up before it was asked for.
pub(crate) fn concerns_one_resource(error: &Error) -> bool {
    match error {
        Error::Unauthorized | Error::SessionsFull(_) | Error::Withdrawn(_) => false,
        Error::Misbehaving { source, .. } => is_of_one_resource(source.as_ref()),
        Error::Unreachable(source) => source.is::<Unanswered>() || source.is::<TimedOut>(),
        Error::Failed { .. } => true,
    }
}

fn is_of_one_resource(source: &(dyn StdError + Send + Sync + 'static)) -> bool {
    source.downcast_ref::<LimitExceeded>().is_some_and(|excess| excess.is_of_one_resource())
}

/// Whether a call has ended because its time was up, because others wait for what it keeps, or because
/// what it was decided on is outdated.
pub(crate) fn is_cut_off(error: &Error) -> bool {
    match error {
        Error::Withdrawn(_) => true,
        Error::Unreachable(source) => source.is::<TimedOut>() || source.is::<LimitExceeded>(),
        Error::Unauthorized
        | Error::SessionsFull(_)
        | Error::Misbehaving { .. }
        | Error::Failed { .. } => false,
    }
}

/// Whether a BMC says that it does not have a resource.
pub(crate) fn is_absent(error: &Error) -> bool {
    match error {
        Error::Failed { source, .. } => {
            source.downcast_ref::<Refused>().is_some_and(Refused::is_absent)
        }
        Error::Unreachable(_)
        | Error::Unauthorized
        | Error::SessionsFull(_)
        | Error::Withdrawn(_)
        | Error::Misbehaving { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_ended_for_others_is_cut_off_and_one_that_has_failed_is_not() {
        let ended = |excess| is_cut_off(&misbehaving("change /1".to_owned(), excess));
        assert!(ended(LimitExceeded::Place(60, 600)) && ended(LimitExceeded::Fleet));
        assert!(is_cut_off(&late()));
        assert!(!ended(LimitExceeded::Body(1)) && !ended(LimitExceeded::Slow(1)));
        assert!(!is_cut_off(&Error::Unauthorized));
    }
}
