//! The loop of a DHCP server: receive, decide, record, answer. Nothing on it waits, except for what
//! its [`Responder`] waits for.
//!
//! All packets that have arrived are taken from the kernel at once, and answered in batches. What a
//! batch changes is written down at once, and only then the batch is answered. Of more packets than
//! can be answered, those of clients that are known come first.

use super::{
    Metrics, Request, Sockets,
    link::{self, Link},
};
use jiff::Timestamp;
use metal_dhcp::{
    Client,
    fair_queue::{FairQueue, Priority},
};
use std::{
    future::{self, Future},
    io,
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    runtime::Builder,
    sync::oneshot,
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How often [`Responder::maintain`] is called.
const TICK: Duration = Duration::from_secs(1);
/// How many packets are answered together: enough to share a write, but few enough that the first
/// one is not delayed for long, and the kernel's buffer does not fill up.
const MOST: usize = 128;
/// How many packets may be queued; each takes about a kilobyte.
const ROOM: usize = 2048;

/// An answer, which is sent once what it depends on is recorded.
#[derive(Debug)]
pub struct Answer<L: Link, N> {
    /// The index of its link.
    pub link: usize,
    /// The sender of the request.
    pub from: L::Peer,
    /// Our address, if the request was sent to it by unicast.
    pub own: Option<L::Address>,
    /// The reply.
    pub reply: Box<L::Reply>,
    /// Whether it may only be sent if the decision was recorded.
    pub is_durable: bool,
    /// Passed to [`Responder::tell`] when it is sent.
    pub news: Option<N>,
}

/// Decides about packets, and records the decisions.
pub trait Responder {
    /// The kind of sockets.
    type Link: Link;
    /// What others are told about an answer.
    type News;

    /// Whether packets are answered now; if not, they are for another server. Called before each
    /// batch.
    fn answers(&mut self) -> bool {
        true
    }

    /// The sender of a packet, and how well it is known.
    fn source_of(&self, request: &Request<Self::Link>) -> (Priority, Option<Client>);

    /// Decides about a packet that came through one of these links.
    fn decide(
        &mut self,
        links: &[Self::Link],
        request: Request<Self::Link>,
        now: Timestamp,
    ) -> Option<Answer<Self::Link, Self::News>>;

    /// Answers that were held back and can be sent now. `None` if nothing has changed.
    fn released(&mut self, _: &[Self::Link]) -> Option<Vec<Answer<Self::Link, Self::News>>> {
        None
    }

    /// Waits until that may have changed.
    fn release(&self) -> impl Future<Output = ()> {
        future::pending()
    }

    /// Drops answers that were held back, because another server answers from now on. Otherwise the loop
    /// would not wait any longer, once they could be sent.
    fn forget_held(&mut self) {}

    /// Records what was decided; returns whether that worked, or was unnecessary.
    fn commit(&mut self) -> bool {
        true
    }

    /// An answer is sent.
    fn tell(&mut self, _: Self::News) {}

    /// Adopts changes, and does periodic work. Called every second.
    fn maintain(&mut self, sockets: &mut Sockets<Self::Link>) -> impl Future<Output = ()>;

    /// Synchronizes everything to disk before the end.
    fn close(self);
}

/// A server with its sockets open.
#[derive(Debug)]
pub struct Server<R: Responder> {
    /// Makes the decisions.
    pub responder: R,
    /// Its sockets.
    pub sockets: Sockets<R::Link>,
    waiting: FairQueue<Option<Client>, Request<R::Link>>,
    metrics: Metrics,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Why a bind target cannot be served.
    #[error("could not start the server")]
    Link(#[from] link::Error),
    /// The runtime of the packet path does not start.
    #[error("could not start the packet threads")]
    Runtime(#[source] io::Error),
}

/// Serves what `open` returns until `shutdown`, on its own runtime: whatever else the process does,
/// packets are answered. Blocks. Sends the addresses of its sockets, in the order of their bind targets,
/// to `opened` once they are open.
///
/// # Errors
///
/// If it cannot start.
pub fn serve<R: Responder, E: From<Error>>(
    open: impl FnOnce() -> Result<Server<R>, E>,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), E> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::Runtime)?.block_on(async {
        let mut server = open()?;
        // The receiver may be gone.
        opened.send(server.sockets.addresses()).ok();
        server.run(shutdown).await;
        server.responder.close();
        Ok(())
    })
}

impl<R: Responder> Server<R> {
    /// A server that is not running yet.
    pub fn new(responder: R, mut sockets: Sockets<R::Link>, metrics: Metrics) -> Self {
        sockets.take_renumbered();
        Self { responder, sockets, waiting: FairQueue::new(ROOM), metrics }
    }

    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ticked = Instant::now();
        loop {
            let is_busy = self.turn();
            if is_busy && ticked.elapsed() < TICK && !shutdown.is_cancelled() {
                // The reactor must poll the other sockets, too.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {
                    ticked = Instant::now();
                    self.maintain().await;
                }
                () = self.sockets.readable() => {}
                () = self.responder.release() => {}
            }
        }
    }

    /// Takes what has arrived, and answers it; returns whether there was anything.
    pub fn turn(&mut self) -> bool {
        let received = self.sockets.receive(&self.metrics);
        if !self.responder.answers() {
            self.forget_waiting();
            self.responder.forget_held();
            return false;
        }
        let released = self.responder.released(self.sockets.links());
        for request in received {
            self.take_in(request);
        }
        if self.waiting.is_empty() && released.is_none() {
            return false;
        }
        let mut answers = released.unwrap_or_default();
        let now = Timestamp::now();
        for _ in 0..MOST {
            let Some(request) = self.waiting.pop() else { break };
            answers.extend(self.responder.decide(self.sockets.links(), request, now));
        }
        let is_kept = self.responder.commit();
        for answer in answers.into_iter().filter(|answer| is_kept || !answer.is_durable) {
            self.answer(answer);
        }
        true
    }

    /// Adopts changes of the configuration, and does periodic work.
    pub async fn maintain(&mut self) {
        self.responder.maintain(&mut self.sockets).await;
        if self.sockets.take_renumbered() {
            // They came through the previous links.
            self.forget_waiting();
        }
    }

    /// Queues a packet, which is answered in its turn.
    pub(super) fn take_in(&mut self, request: Request<R::Link>) {
        let (priority, client) = self.responder.source_of(&request);
        if self.waiting.push(priority, client, request).is_some() {
            self.metrics.overloaded();
        }
    }

    /// Clients whose packets are dropped ask again.
    fn forget_waiting(&mut self) {
        if !self.waiting.is_empty() {
            self.waiting = FairQueue::new(ROOM);
        }
    }

    fn answer(&mut self, answer: Answer<R::Link, R::News>) {
        let Answer { link, from, own, reply, news, .. } = answer;
        if let Some(news) = news {
            self.responder.tell(news);
        }
        let (to, sent) = self.sockets.links()[link].send(&reply, from, own);
        if let Err(error) = sent {
            // The client asks again.
            tracing::debug!(%error, %to, "could not send a response");
            self.metrics.not_sent();
        }
        let kind = R::Link::kind(&reply);
        tracing::debug!(kind, %to, "answered");
        self.metrics.answered(kind);
    }
}
