//! Sends a request to one BMC, and judges by the outcome whether the BMC is up.

use super::Line;
use crate::{
    Error,
    transport::{
        answer::{self, is_busy, moved},
        limits::{
            breaker::{Failure, PATIENCE},
            budget::{Budget, misbehaving},
        },
        request::{AuthenticatedRequest, Request},
        root::ROOT,
        session::peer::Peer,
        wire::{Connection, Reply, Unanswered, WireError},
    },
};
use http::{Method, StatusCode};
use metal_base::Chain;
use std::mem;
use tokio::time::Instant;

/// The BMC is too busy to answer.
#[derive(Debug, thiserror::Error)]
#[error("HTTP status {0}")]
struct Busy(StatusCode);

impl Line {
    /// Sends one request. If the BMC redirects to the same path with or without a trailing slash,
    /// sends it there, once.
    pub(crate) async fn send(
        &mut self,
        at: &Peer,
        sent: AuthenticatedRequest<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        let reply = self.send_here(at, &sent, budget).await?;
        let Some(path) = moved(&reply, sent.request, &at.target) else { return Ok(reply) };
        let request = Request { path, ..sent.request.clone() };
        self.send_here(at, &AuthenticatedRequest { request: &request, ..sent }, budget).await
    }

    /// Sends one request and judges what the outcome says about the BMC. The response of one
    /// resource says nothing about others, whatever it is.
    async fn send_here(
        &mut self,
        at: &Peer,
        sent: &AuthenticatedRequest<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        at.shared.rate.turn().await;
        match self.send_once_or_twice(at, sent, budget).await {
            Ok(reply) if is_busy(reply.status) && sent.request.is_about_all() => {
                self.fail(at, Failure::Stuck, Chain(&Busy(reply.status)).to_string());
                Ok(reply)
            }
            Ok(reply) => {
                self.stuck.clear();
                self.breaker.succeeded();
                Ok(reply)
            }
            // Says nothing about the BMC.
            Err(WireError::Withdrawn(why)) => Err(Error::Withdrawn(why)),
            Err(WireError::LimitExceeded(excess)) => {
                at.shared.counters.unreachable.inc();
                let Request { method, path, .. } = sent.request;
                let method = method.as_str().to_ascii_lowercase();
                Err(misbehaving(format!("{method} {path}"), excess))
            }
            Err(error) => {
                let failure = error.failure();
                if failure == Failure::Stuck && self.is_part(at, &sent.request.path, budget).await {
                    at.shared.counters.unreachable.inc();
                    self.breaker.succeeded();
                } else {
                    self.fail(at, failure, Chain(&error).to_string());
                }
                if failure == Failure::Dead {
                    return Err(Error::Unreachable(error.into()));
                }
                let Request { method, path, .. } = sent.request;
                let request = format!("{method} {path}");
                Err(Error::Unreachable(Unanswered { request, error }.into()))
            }
        }
    }

    /// Whether only parts of a BMC fail to answer. After several such failures in a row, the
    /// service root is asked. If all of them are one path, they count against the whole BMC.
    async fn is_part(&mut self, at: &Peer, path: &str, budget: &Budget<'_>) -> bool {
        self.stuck.push(path.to_owned());
        if self.stuck.len() < PATIENCE {
            return false;
        }
        let stuck = mem::take(&mut self.stuck);
        if stuck.iter().all(|other| other == path) {
            return false;
        }
        at.shared.rate.turn().await;
        let request = Request::new(Method::GET, ROOT);
        let sent = AuthenticatedRequest { request: &request, signature: None };
        let reply = self.send_once_or_twice(at, &sent, budget).await;
        reply.is_ok_and(|reply| !is_busy(reply.status))
    }

    fn fail(&mut self, at: &Peer, failure: Failure, why: String) {
        at.shared.counters.unreachable.inc();
        let limits = &at.shared.config.limits;
        let rest = (limits.rest, limits.longest_rest);
        self.breaker.failed(failure, why, (Instant::now(), &at.target), rest);
        if self.breaker.rests(Instant::now()).is_some() {
            // The firmware may have changed when the BMC is back.
            self.root = None;
            self.unwelcoming.clear();
            at.memory.forget();
            at.shared.recent.forget(&at.target);
        }
    }

    /// Uses the kept connection, unless the BMC is held to something else now: then it may be another
    /// one that is there. If the BMC has closed it in the meantime, a new one is made, unless the
    /// request may have been carried out and must not be repeated.
    async fn send_once_or_twice(
        &mut self,
        at: &Peer,
        sent: &AuthenticatedRequest<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, WireError> {
        let limits = &at.shared.config.limits;
        let held_to = (*at.pin(), at.host_name().clone());
        let kept = self.connection.take().filter(|_| self.shown == held_to);
        if let Some(kept) = kept.filter(|kept| kept.is_fresh(limits.idle)) {
            match self.send_on(at, kept, sent, budget).await {
                Err(error) if error.is_unsent() => {}
                Err(error) if error.is_broken() && sent.request.method != Method::POST => {}
                done => return done,
            }
        }
        let (pin, host_name) = held_to;
        let trust = at.shared.config.trust.of(pin, host_name.as_deref());
        at.shared.counters.connections.inc();
        let (fresh, seen) = Connection::open(&at.shared, &at.target, &trust).await?;
        if let Some(seen) = seen {
            *at.pin() = Some(seen);
        }
        self.shown = (seen.or(pin), host_name);
        self.send_on(at, fresh, sent, budget).await
    }

    async fn send_on(
        &mut self,
        at: &Peer,
        connection: Connection,
        sent: &AuthenticatedRequest<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, WireError> {
        sent.request.permit.check().map_err(WireError::Withdrawn)?;
        at.shared.counters.requests.inc();
        let limits = &at.shared.config.limits;
        let (mut reply, connection) =
            connection.exchange(sent.to_http(&at.target), limits, budget).await?;
        self.connection = connection.and_then(|open| open.kept(&at.shared.kept));
        reply.asked.clone_from(&sent.request.path);
        match reply.broken.take() {
            Some(error) => answer::despite(error, reply, sent.request),
            None => Ok(reply),
        }
    }
}
