//! How a fleet is treated.

use crate::{Names, tls::Trust};
use std::{num::NonZeroU32, time::Duration};

/// How a [`Fleet`](crate::Fleet) is treated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which certificates are good.
    pub trust: Trust,
    /// How host names are resolved.
    pub names: Names,
    /// Requests to all BMCs together, per second.
    pub requests_per_second: NonZeroU32,
    /// How many idle connections are kept open; beyond it, a connection ends with its request.
    /// Each costs a file descriptor and up to 6 KiB; with TLS, 13.
    pub kept_connections: usize,
    /// Calls with long answers that are under way at a time, whatever BMC they are to. With
    /// [`Limits`] it bounds what all BMCs together can make a process hold.
    pub long_calls: usize,
    /// How long things may take, and how large they may be.
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

/// How long things may take, and how large they may be. The defaults suit real BMCs, some of which
/// think for many seconds about a storage controller.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until TCP is connected.
    pub connect: Duration,
    /// From there until TLS is.
    pub tls: Duration,
    /// From the request until the response header is complete.
    pub headers: Duration,
    /// From there until the body is.
    pub body: Duration,
    /// Size of a body.
    pub body_bytes: usize,
    /// Up to this size, a body waits for no other.
    pub small_body: usize,
    /// Size of all bodies of one call.
    pub call_bytes: usize,
    /// Up to this size, a call waits for no other.
    pub small_call: usize,
    /// Memory that a document may take once it is parsed.
    pub parsed_bytes: usize,
    /// Up to this size, a document waits for no other.
    pub small_parsed: usize,
    /// Size of all bodies of one BMC within [`bmc_period`](Self::bmc_period).
    pub bmc_bytes: usize,
    /// What [`bmc_bytes`](Self::bmc_bytes) is for.
    pub bmc_period: Duration,
    /// A whole call that reads one thing.
    pub read: Duration,
    /// A whole call of `inventory`.
    pub inventory: Duration,
    /// A whole call that writes, the task included that it starts.
    pub write: Duration,
    /// Between two looks at a task, where the BMC does not say.
    pub task_poll: Duration,
    /// For how long a connection without requests is trusted to be alive.
    pub idle: Duration,
    /// For how long refused credentials are not tried again.
    pub lockout: Duration,
    /// The same for those that worked before, twice: the BMC may be starting.
    pub second_try: Duration,
    /// For how long a BMC without a free session, and without Basic authentication, is not asked
    /// for one again.
    pub sessions_full: Duration,
    /// For how long a BMC that does not answer is left alone, the first time. Doubles every time.
    pub rest: Duration,
    /// What that doubling ends at.
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
