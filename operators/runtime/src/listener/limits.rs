//! Limits of what strangers may hold on to, for each port.

use std::time::Duration;

/// How long the peer may take to transfer [`PROGRESS`] of what it owes: bytes of a body to send, or
/// of a response to receive. Time in which nothing is owed does not count.
pub(super) const STALLED: Duration = Duration::from_mins(1);
const PROGRESS: u64 = 64 << 10;
/// How many ports a process may have: each gets its share of the open files.
const PORTS: u64 = 8;

/// The limits of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of connections.
    pub connections: usize,
    /// Number of connections from one IPv4 address or one IPv6 /64.
    pub per_source: usize,
    /// Time limit for the header of a request; for the first one, including the handshake.
    pub head: Duration,
    /// Time limit for the next request on a connection.
    pub idle: Duration,
    /// Time limit for a body.
    pub body: Duration,
    /// Time limit for the peer to transfer `progress` bytes of a body or of a response.
    pub stalled: Duration,
    /// See `stalled`.
    pub progress: u64,
    /// Time limit for what is still being sent of a body that nobody reads, before it is answered.
    pub discard: Duration,
    /// Largest header of a request.
    pub head_bytes: usize,
    /// Largest body.
    pub body_bytes: u64,
    /// How long requests in progress may continue after the shutdown has begun.
    pub drain: Duration,
}

impl Limits {
    /// For ports where machines boot: many connections, some of them long. A whole rack may share
    /// an address behind a node or router that translates addresses.
    pub const MACHINES: Self = Self {
        connections: 4096,
        per_source: 1024,
        head: Duration::from_secs(15),
        idle: Duration::from_secs(30),
        body: Duration::from_secs(15),
        stalled: STALLED,
        progress: PROGRESS,
        discard: Duration::from_secs(2),
        head_bytes: 16 << 10,
        body_bytes: 16 << 10,
        drain: Duration::from_secs(20),
    };

    /// For ports that receive reports: bodies of up to `body_bytes`, short responses.
    pub const fn reports(body_bytes: u64) -> Self {
        Self {
            connections: 2048,
            per_source: 512,
            stalled: Duration::from_secs(10),
            progress: 8 << 10,
            body_bytes,
            drain: Duration::from_secs(10),
            ..Self::MACHINES
        }
    }

    /// For health probes by the node.
    pub const PROBES: Self = Self {
        connections: 128,
        per_source: 32,
        head: Duration::from_secs(5),
        idle: Duration::from_secs(30),
        body: Duration::from_secs(5),
        stalled: Duration::from_secs(5),
        progress: 1 << 10,
        discard: Duration::from_secs(2),
        head_bytes: 8 << 10,
        body_bytes: 1 << 10,
        drain: Duration::ZERO,
    };

    /// For metrics: responses may be large, and take time to produce.
    pub const METRICS: Self = Self {
        connections: 64,
        per_source: 16,
        idle: Duration::from_mins(2),
        stalled: Duration::from_secs(10),
        ..Self::PROBES
    };

    /// The same, scaled down for a process that may open only `files` files.
    pub(super) fn fitting(self, files: u64) -> Self {
        let share = usize::try_from(files / PORTS).unwrap_or(usize::MAX).max(2);
        if self.connections <= share {
            return self;
        }
        Self { connections: share, per_source: self.per_source.min(share / 2), ..self }
    }

    /// How often to look for connections that have exceeded a time limit.
    pub(super) fn sweep(&self) -> Duration {
        let shortest = self.head.min(self.idle).min(self.body).min(self.stalled);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::GRACE;

    #[test]
    fn what_comes_after_the_last_request_has_its_time_before_the_process_is_killed() {
        // A process logs out of BMCs and closes its files.
        let (rest, kubernetes) = (Duration::from_secs(5), Duration::from_secs(30));
        let all = [Limits::MACHINES, Limits::reports(1), Limits::PROBES, Limits::METRICS];
        for limits in all {
            assert!(limits.drain + rest < GRACE, "{limits:?}");
        }
        assert!(GRACE < kubernetes);
    }

    #[test]
    fn a_process_with_few_files_has_fewer_connections_of_which_no_source_has_all() {
        assert_eq!(Limits::MACHINES.fitting(1 << 20), Limits::MACHINES);
        let few = Limits::MACHINES.fitting(1024);
        assert_eq!((few.connections, few.per_source), (128, 64));
        assert_eq!(Limits::METRICS.fitting(1024), Limits::METRICS);
    }
}
