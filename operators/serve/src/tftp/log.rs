//! What the log tells of requests and transfers.

use super::{handshake::Handshake, transfer::Outcome};
use metal_runtime::report::Chain;
use std::{
    collections::HashMap,
    fmt::Display,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// How many transfers of a client that has shown its address have an entry in a [`PERIOD`]: more than a machine
/// begins. It ends as many as it likes.
const PER_CLIENT: u32 = 16;
/// The same of all clients: a host may have many addresses.
const IN_ALL: u32 = 512;
const PERIOD: Duration = Duration::from_secs(1);

/// The entries of the current period.
#[derive(Debug)]
pub(super) struct Entries {
    since: Instant,
    by_client: HashMap<IpAddr, u32>,
    count: u32,
}

impl Entries {
    /// None yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, by_client: HashMap::new(), count: 0 }
    }

    /// Whether a transfer of this client may have one.
    pub(super) fn may(&mut self, client: IpAddr, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= PERIOD {
            *self = Self::new(now);
        }
        let own = self.by_client.get(&client).copied().unwrap_or_default();
        let may = own < PER_CLIENT && self.count < IN_ALL;
        if may {
            self.by_client.insert(client, own + 1);
            self.count += 1;
        }
        may
    }
}

/// Logs how a request or a transfer has ended; for a person to see if it `is_told`.
pub(super) fn tell(handshake: &Handshake, outcome: &Outcome, bytes: u64, is_told: bool) {
    let (client, file) = (handshake.client, &handshake.name);
    let milliseconds = handshake.began.elapsed().as_millis();
    match outcome {
        _ if !is_told => tracing::debug!(%client, file, bytes, ?outcome, "transfer ended"),
        Outcome::Done => tracing::info!(%client, file, bytes, milliseconds, "file sent"),
        // Firmware asks for the size first, and then for the file.
        Outcome::Aborted { .. } | Outcome::Replaced if bytes == 0 => {
            tracing::debug!(%client, file, ?outcome, "client asked for the size only");
        }
        Outcome::Unreadable(error) => {
            tracing::error!(%client, file, bytes, error = %Chain(error), "could not read the file");
        }
        Outcome::Aborted { code, message } => {
            tracing::warn!(%client, file, bytes, code, message, "the client aborted its transfer");
        }
        Outcome::Forgotten => tracing::debug!(
            %client,
            file,
            "transfer dropped in favor of other clients",
        ),
        Outcome::Replaced
        | Outcome::GaveUp
        | Outcome::Vanished
        | Outcome::TooLong
        | Outcome::TooSlow
        | Outcome::Displaced
        | Outcome::Stopped => tracing::warn!(%client, file, bytes, ?outcome, "transfer failed"),
    }
}

pub(super) fn tell_unreachable(client: SocketAddr, error: &dyn Display) {
    tracing::debug!(%client, %error, "could not reach the client");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_host_that_ends_many_transfers_fills_no_log_and_takes_no_entry_from_others() {
        let start = Instant::now();
        let mut entries = Entries::new(start);
        let client = |number: u32| IpAddr::from(Ipv4Addr::from_bits(number));
        for second in 0..3 {
            let now = start + PERIOD * second;
            let noisy = (0..10_000).filter(|_| entries.may(client(1), now)).count();
            assert_eq!(noisy, PER_CLIENT as usize);
            assert!(entries.may(client(2), now));
            let all = (0..10_000).filter(|number| entries.may(client(*number), now)).count();
            assert_eq!(all, (IN_ALL - PER_CLIENT - 1) as usize);
        }
    }
}
