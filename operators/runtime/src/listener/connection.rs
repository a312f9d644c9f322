//! The state of one connection, as far as limits are concerned.

use super::limits::Limits;
use metal_base::Locked;
use std::{
    fmt,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A busy connection may be closed to make room once nothing has happened on it for this long: its
/// peer has transferred nothing, or we have produced nothing.
const QUIET: Duration = Duration::from_secs(3);

/// One connection. Reads, writes and responses are reported here.
#[derive(Debug)]
pub(super) struct Connection {
    state: Mutex<State>,
    leave: Notify,
}

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// No request in time.
    Head,
    /// No further request in time.
    Idle,
    /// No body in time.
    Body,
    /// The peer has to send or receive bytes, and does not.
    Stalled,
    /// Another connection needs its place.
    Room,
}

/// How readily a connection is closed to make room for another: smaller ranks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Idle, since this time.
    Waiting(Instant),
    /// Busy, but the peer has transferred nothing since this time.
    Quiet(Instant),
    /// Busy, and the peer has waited for us since this time. It is not to blame, but a request that takes
    /// long must not be a way to hold a place either.
    Unanswered(Instant),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has been received yet.
    New,
    /// A request, or a handshake, is being received.
    Head,
    /// A request has been received, and there is no response yet.
    Handling,
    /// A response is being sent.
    Answering,
    /// The response has been produced, but not all of it may have been sent.
    Answered,
    /// The response has been sent.
    Idle,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase, or the time limit for a header, began.
    since: Instant,
    /// Since when a body is being waited for.
    body_since: Option<Instant>,
    owed: PeerProgress,
    leaves: Option<Reason>,
}

/// What the peer owes: bytes of a body, or acceptance of those of a response.
#[derive(Debug, Default)]
struct PeerProgress {
    /// Since when the peer is being waited for.
    since: Option<Instant>,
    /// How long the peer has been waited for since `moved` was zero.
    waited: Duration,
    moved: u64,
    /// When the peer has last transferred anything.
    last: Option<Instant>,
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            phase: Phase::New,
            since: now,
            body_since: None,
            owed: PeerProgress::default(),
            leaves: None,
        };
        Self { state: Mutex::new(state), leave: Notify::new() }
    }

    /// Bytes have been received.
    pub(super) fn read(&self, now: Instant) {
        let mut state = self.state();
        match state.phase {
            // The time limit for the first header began with the connection.
            Phase::New => state.phase = Phase::Head,
            Phase::Idle => state.enter(Phase::Head, now),
            Phase::Head | Phase::Handling | Phase::Answering | Phase::Answered => {}
        }
    }

    /// The header of a request is complete.
    pub(super) fn request(&self, now: Instant) {
        self.state().enter(Phase::Handling, now);
    }

    /// The body of a request is being read.
    pub(super) fn body_awaited(&self, now: Instant) {
        self.state().body_since.get_or_insert(now);
    }

    /// The body is no longer being waited for.
    pub(super) fn body_ended(&self) {
        let mut state = self.state();
        state.body_since = None;
        state.owed = PeerProgress::default();
    }

    /// There is a response.
    pub(super) fn response(&self, now: Instant) {
        self.state().enter(Phase::Answering, now);
    }

    /// The whole response has been produced.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        if state.phase == Phase::Answering {
            state.phase = Phase::Answered;
        }
    }

    /// Everything that was written has been sent.
    pub(super) fn flushed(&self, now: Instant) {
        let mut state = self.state();
        if state.phase == Phase::Answered {
            state.enter(Phase::Idle, now);
        }
    }

    /// The peer is being waited for.
    pub(super) fn waits(&self, now: Instant) {
        self.state().owed.since.get_or_insert(now);
    }

    /// The peer has sent or accepted this many bytes.
    pub(super) fn moved(&self, bytes: usize, now: Instant, limits: &Limits) {
        self.state().owed.moved(bytes, now, limits.progress);
    }

    /// Why the connection has to be closed, if it has.
    pub(super) fn overdue(&self, now: Instant, limits: &Limits) -> Option<Reason> {
        let state = self.state();
        let over = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        match state.phase {
            Phase::New | Phase::Head if over(state.since, limits.head) => Some(Reason::Head),
            Phase::Idle if over(state.since, limits.idle) => Some(Reason::Idle),
            _ if state.body_since.is_some_and(|since| over(since, limits.body)) => {
                Some(Reason::Body)
            }
            _ if state.owed.waited(now) >= limits.stalled => Some(Reason::Stalled),
            _ => None,
        }
    }

    /// How readily it is closed to make room; `None` if it must not be.
    pub(super) fn rank(&self, now: Instant) -> Option<Rank> {
        let state = self.state();
        let is_over = |since: &Instant| now.saturating_duration_since(*since) >= QUIET;
        match (state.phase, state.owed.since) {
            (Phase::New | Phase::Head | Phase::Idle, _) => Some(Rank::Waiting(state.since)),
            (_, Some(since)) => Some(since).filter(is_over).map(Rank::Quiet),
            (_, None) => {
                let since = state.owed.last.map_or(state.since, |last| last.max(state.since));
                Some(since).filter(is_over).map(Rank::Unanswered)
            }
        }
    }

    /// Asks for it to be closed.
    pub(super) fn dismiss(&self, reason: Reason) {
        self.state().leaves = Some(reason);
        self.leave.notify_one();
    }

    /// Waits until it has to be closed.
    pub(super) async fn dismissed(&self) -> Reason {
        loop {
            if let Some(reason) = self.is_dismissed() {
                return reason;
            }
            self.leave.notified().await;
        }
    }

    /// Why it has to be closed, if that was requested.
    pub(super) fn is_dismissed(&self) -> Option<Reason> {
        self.state().leaves
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.locked()
    }
}

impl State {
    fn enter(&mut self, phase: Phase, now: Instant) {
        let leaves = self.leaves;
        *self = Self { phase, since: now, body_since: None, owed: PeerProgress::default(), leaves };
    }
}

impl PeerProgress {
    fn moved(&mut self, bytes: usize, now: Instant, progress: u64) {
        self.waited = self.waited(now);
        self.since = None;
        self.last = Some(now);
        self.moved += u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.moved >= progress {
            *self = Self { last: self.last, ..Self::default() };
        }
    }

    fn waited(&self, now: Instant) -> Duration {
        self.waited + self.since.map_or(Duration::ZERO, |it| now.saturating_duration_since(it))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "timed out waiting for a request",
            Self::Idle => "timed out waiting for the next request",
            Self::Body => "timed out waiting for the request body",
            Self::Stalled => "stalled",
            Self::Room => "closed to make room for another connection",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        head: secs(10),
        idle: secs(30),
        body: secs(20),
        stalled: secs(15),
        progress: 1000,
        ..Limits::MACHINES
    };

    #[test]
    fn a_head_that_trickles_in_is_over_its_time_and_so_is_silence_from_the_beginning() {
        let (connection, at) = begun();
        assert_eq!(connection.overdue(at(9), &LIMITS), None);
        assert_eq!(connection.overdue(at(10), &LIMITS), Some(Reason::Head));
        for second in 0..10 {
            connection.read(at(second));
        }
        assert_eq!(connection.overdue(at(10), &LIMITS), Some(Reason::Head));
    }

    #[test]
    fn the_next_head_has_its_own_time_that_runs_from_its_first_byte() {
        let (connection, at) = begun();
        serve(&connection, at(1));
        assert_eq!(connection.overdue(at(30), &LIMITS), None);
        assert_eq!(connection.overdue(at(31), &LIMITS), Some(Reason::Idle));
        connection.read(at(30));
        assert_eq!(connection.overdue(at(39), &LIMITS), None);
        assert_eq!(connection.overdue(at(40), &LIMITS), Some(Reason::Head));
    }

    #[test]
    fn a_handler_has_time_and_a_body_has_a_deadline_and_a_least_rate() {
        let (connection, at) = begun();
        connection.request(at(0));
        assert_eq!(
            connection.overdue(at(100), &LIMITS),
            None,
            "our own work is no fault of theirs"
        );
        connection.body_awaited(at(100));
        connection.waits(at(100));
        assert_eq!(connection.overdue(at(114), &LIMITS), None);
        assert_eq!(connection.overdue(at(115), &LIMITS), Some(Reason::Stalled));
        connection.moved(2000, at(115), &LIMITS);
        connection.waits(at(115));
        assert_eq!(connection.overdue(at(119), &LIMITS), None);
        assert_eq!(connection.overdue(at(120), &LIMITS), Some(Reason::Body));
        connection.body_ended();
        assert_eq!(connection.overdue(at(500), &LIMITS), None);
    }

    #[test]
    fn a_reader_that_takes_a_byte_now_and_then_is_stalled_and_a_slow_producer_is_not() {
        let (connection, at) = begun();
        connection.request(at(0));
        connection.response(at(0));
        for second in 0..15 {
            assert_eq!(connection.overdue(at(second), &LIMITS), None, "{second}");
            connection.waits(at(second));
            connection.moved(10, at(second + 1), &LIMITS);
        }
        assert_eq!(connection.overdue(at(15), &LIMITS), Some(Reason::Stalled));

        let (connection, at) = begun();
        connection.request(at(0));
        connection.response(at(0));
        for second in (0..1000).step_by(10) {
            // It is transferred at once; the rest has not been produced yet.
            connection.moved(10, at(second), &LIMITS);
        }
        assert_eq!(connection.overdue(at(1000), &LIMITS), None);
    }

    #[test]
    fn those_that_ask_for_nothing_make_room_before_those_that_do_not_move() {
        let (idle, at) = begun();
        serve(&idle, at(0));
        let (slow, _) = begun();
        slow.request(at(0));
        slow.response(at(0));
        slow.waits(at(0));
        assert_eq!(slow.rank(at(0)), None, "it may be fast");
        let late = at(100);
        assert!(idle.rank(late) < slow.rank(late));
    }

    #[test]
    fn those_that_wait_for_us_make_room_after_those_that_we_wait_for() {
        let (slow, at) = begun();
        slow.request(at(0));
        slow.response(at(0));
        slow.waits(at(0));
        let (unanswered, _) = begun();
        unanswered.request(at(0));
        assert_eq!(unanswered.rank(at(2)), None, "the answer may be on its way");
        assert_eq!(unanswered.rank(at(3)), Some(Rank::Unanswered(at(0))));
        assert!(slow.rank(at(3)) < unanswered.rank(at(3)));

        // What we produce slowly is on its way as long as it goes on.
        unanswered.response(at(4));
        assert_eq!(unanswered.rank(at(6)), None);
        unanswered.waits(at(6));
        unanswered.moved(10, at(6), &LIMITS);
        assert_eq!(unanswered.rank(at(8)), None);
        assert_eq!(unanswered.rank(at(9)), Some(Rank::Unanswered(at(6))));
    }

    fn begun() -> (Connection, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Connection::new(start), move |second| start + secs(second))
    }

    fn serve(connection: &Connection, at: Instant) {
        connection.read(at);
        connection.request(at);
        connection.response(at);
        connection.answered();
        connection.flushed(at);
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
}
