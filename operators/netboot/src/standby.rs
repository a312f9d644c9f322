//! Which of two instances answers: the holder of a Lease in the API server.
//!
//! ```text
//!            the lease is ours
//!  Waits ──────────────────────► Leads           the lease is another's: Waits
//!    └──────────────► Answers ◄────┘             it is ours: Leads
//!      the API server is away
//! ```
//!
//! Whose the lease is answers at once, and leads when it knows what the other one has written.
//!
//! This is not what keeps addresses from being assigned twice: each instance gives new clients
//! addresses from its own half of every range. So if it is not known who leads, both answer rather
//! than none.

use crate::{lease_publisher::LeasePublisher, shared_leases::Role};
use metal_runtime::{election::lease::Candidate, jittered, report::Chain};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The Lease.
pub(crate) const LEASE: &str = "netboot.bloomery.dev";
/// How long the active instance may be silent before the other one takes over.
pub(crate) const DURATION: Duration = Duration::from_secs(5);
/// How often the active instance renews.
const RENEW: Duration = Duration::from_millis(1200);
/// How long one attempt may take.
const TRY: Duration = Duration::from_secs(2);
/// How long the API server must have been unreachable before a standby instance answers.
const ALONE: Duration = Duration::from_secs(10);
/// How often to check whether the objects of the other instance have been listed.
const NOT_LISTED: Duration = Duration::from_millis(100);

/// Runs as a candidate forever, for a Lease that lasts for [`DURATION`]. An instance that starts
/// adopts all leases of the other one before it can lead.
pub(crate) async fn stand(candidate: &mut Candidate, publisher: &Arc<LeasePublisher>) {
    let (mut reached, mut is_reachable) = (Instant::now(), true);
    while !publisher.is_listed() && reached.elapsed() < ALONE {
        sleep(NOT_LISTED).await;
    }
    loop {
        let attempt = timeout(TRY, candidate.attempt()).await;
        let was_reachable = std::mem::replace(&mut is_reachable, matches!(attempt, Ok(Ok(_))));
        if is_reachable {
            reached = Instant::now();
        } else if was_reachable {
            tracing::warn!(
                lease = LEASE,
                "API server unreachable: cannot determine the active instance"
            );
        }
        match attempt {
            // Unlisted objects may be the other instance's, which must not be removed.
            Ok(Ok(true)) if publisher.is_listed() => publisher.stand(Role::Leads),
            Ok(Ok(true)) => publisher.stand(Role::Answers),
            Ok(Ok(false)) => publisher.stand(Role::Waits),
            Ok(Err(error)) => {
                tracing::debug!(error = %Chain(&error), lease = LEASE, "not reached");
                alone(publisher, reached);
            }
            Err(_) => alone(publisher, reached),
        }
        sleep(jittered(RENEW)).await;
    }
}

/// It is not known who leads.
fn alone(publisher: &Arc<LeasePublisher>, reached: Instant) {
    if reached.elapsed() >= ALONE {
        publisher.stand(Role::Answers);
    }
}
