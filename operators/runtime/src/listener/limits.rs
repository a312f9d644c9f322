//! How much strangers may hold on to, port by port.

use std::time::Duration;

/// How long the other end may move less than [`PROGRESS`] of what it owes: bytes of a body that it
/// sends, or of an answer that it takes. Time in which nothing is owed does not count.
pub(super) const STALLED: Duration = Duration::from_mins(1);
const PROGRESS: u64 = 64 << 10;
/// How many ports a process may have: each has its share of the files.
const PORTS: u64 = 8;

/// The limits of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one IPv4 address, or one IPv6 network of 64 bits.
    pub per_source: usize,
    /// How long the head of a request may take to arrive; of the first one, with the handshake.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long a body may take to arrive.
    pub body: Duration,
    /// How long the other end may owe `progress` bytes of a body or of an answer.
    pub stalled: Duration,
    /// See `stalled`.
    pub progress: u64,
    /// Largest head of a request.
    pub head_bytes: usize,
    /// Largest body.
    pub body_bytes: u64,
    /// How long what is under way may go on after the shutdown has begun.
    pub drain: Duration,
}

impl Limits {
    /// Where machines boot: many connections, of which one may take long. A whole rack may come
    /// from one address, where a node or a router translates.
    pub const MACHINES: Self = Self {
        connections: 4096,
        per_source: 1024,
        head: Duration::from_secs(15),
        idle: Duration::from_secs(30),
        body: Duration::from_secs(15),
        stalled: STALLED,
        progress: PROGRESS,
        head_bytes: 16 << 10,
        body_bytes: 16 << 10,
        drain: Duration::from_secs(25),
    };

    /// Where machines report: bodies of up to `body_bytes`, short answers.
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

    /// Where the node asks whether the process lives, and others do not come.
    pub const PROBES: Self = Self {
        connections: 128,
        per_source: 32,
        head: Duration::from_secs(5),
        idle: Duration::from_secs(30),
        body: Duration::from_secs(5),
        stalled: Duration::from_secs(5),
        progress: 1 << 10,
        head_bytes: 8 << 10,
        body_bytes: 1 << 10,
        drain: Duration::ZERO,
    };

    /// Where metrics are read: one answer may be large, and each costs time to make.
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

    /// How often to look for connections that are over their time.
    pub(super) fn sweep(&self) -> Duration {
        let shortest = self.head.min(self.idle).min(self.body).min(self.stalled);
        (shortest / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_few_files_has_fewer_connections_of_which_no_source_has_all() {
        assert_eq!(Limits::MACHINES.fitting(1 << 20), Limits::MACHINES);
        let few = Limits::MACHINES.fitting(1024);
        assert_eq!((few.connections, few.per_source), (128, 64));
        assert_eq!(Limits::METRICS.fitting(1024), Limits::METRICS);
    }
}
