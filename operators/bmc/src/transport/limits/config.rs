//! Settings of a fleet.

use crate::{Names, transport::tls::Trust};
use std::{num::NonZeroU32, time::Duration};

/// Settings of a [`Fleet`](crate::Fleet).
#[derive(Clone, Debug)]
pub struct Config {
    /// Which certificates are accepted.
    pub trust: Trust,
    /// How host names are resolved.
    pub names: Names,
    /// Requests to all BMCs together, per second.
    pub requests_per_second: NonZeroU32,
    /// How many idle connections are kept open. Beyond that, a connection is closed after its
    /// request. Each costs a file descriptor and up to 6 KiB of memory, or 13 KiB with TLS.
    pub kept_connections: usize,
    /// How many calls with long answers may be in progress at a time, over all BMCs. Together with
    /// [`Limits`] this bounds the memory that all BMCs together can make the process use.
    pub long_calls: usize,
    /// Time and size limits.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            names: Names::default(),
            requests_per_second: const { NonZeroU32::new(1000).unwrap() },
            kept_connections: 512,
            long_calls: 4,
            limits: Limits::default(),
        }
    }
}

/// Time and size limits. The defaults suit real BMCs, some of which take many seconds to answer for
/// a storage controller.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time to connect by TCP.
    pub connect: Duration,
    /// Time for the TLS handshake after that.
    pub tls: Duration,
    /// Time from the request until the response header is complete.
    pub headers: Duration,
    /// Time from there until the body is complete.
    pub body: Duration,
    /// Largest size of a body.
    pub body_bytes: usize,
    /// A body up to this size needs no place of the fleet's.
    pub small_body: usize,
    /// Largest size of all bodies of one call together.
    pub call_bytes: usize,
    /// A call whose bodies are up to this size together needs no place of the fleet's.
    pub small_call: usize,
    /// Most memory that a parsed document may take.
    pub parsed_bytes: usize,
    /// A document up to this size needs no place of the fleet's.
    pub small_parsed: usize,
    /// Largest size of all bodies from one BMC within [`bmc_period`](Self::bmc_period).
    pub bmc_bytes: usize,
    /// The period that [`bmc_bytes`](Self::bmc_bytes) is counted over.
    pub bmc_period: Duration,
    /// For how long one BMC may keep places of the fleet's within [`bmc_period`](Self::bmc_period)
    /// while others wait for one. A call that begins before goes on to its end: one that is ended begins
    /// anew, and a large machine would never be read.
    pub place: Duration,
    /// Time for a whole call that reads one thing.
    pub read: Duration,
    /// Time for a whole `inventory` call, the longest of all.
    pub inventory: Duration,
    /// Time for a whole call that writes, including the task that it starts.
    pub write: Duration,
    /// Time between two polls of a task, unless the BMC says how long to wait.
    pub task_poll: Duration,
    /// For how long an unused connection is assumed to be alive.
    pub idle: Duration,
    /// For how long refused credentials are not tried again.
    pub lockout: Duration,
    /// The same for credentials that worked before, for two retries: the BMC may be starting. And for the
    /// first retry of a new password, which the BMC may not have yet.
    pub second_try: Duration,
    /// For how long a BMC with no session free, and without Basic authentication, is not asked for
    /// one again.
    pub sessions_full: Duration,
    /// For how long a BMC that does not answer is left alone at first; doubles with each failure.
    pub rest: Duration,
    /// The upper bound of that doubling.
    pub longest_rest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(5),
            tls: seconds(10),
            headers: seconds(30),
            body: seconds(30),
            body_bytes: 4 << 20,
            small_body: 128 << 10,
            call_bytes: 8 << 20,
            small_call: 1 << 20,
            parsed_bytes: 16 << 20,
            small_parsed: 512 << 10,
            bmc_bytes: 64 << 20,
            bmc_period: seconds(600),
            place: seconds(60),
            read: seconds(120),
            inventory: seconds(300),
            write: seconds(120),
            task_poll: seconds(1),
            idle: seconds(300),
            lockout: seconds(30 * 60),
            second_try: seconds(3 * 60),
            sessions_full: seconds(60),
            rest: seconds(1),
            longest_rest: seconds(120),
        }
    }
}
