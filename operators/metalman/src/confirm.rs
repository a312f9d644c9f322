//! What the API server itself has to confirm before a machine gets what installs it.

use crate::Context;
use kube::ResourceExt;
use metal_api::Machine;
use metal_machine::operations::{Clocks, StaleCache, confirmed, installs};
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

/// How long an HTTP request waits for the API server.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a thread waits that serves all machines.
const THREAD_PATIENCE: Duration = Duration::from_millis(500);

/// Why it is unknown what a machine may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unconfirmed {
    /// The API server does not answer.
    #[error(transparent)]
    StaleCache(#[from] StaleCache),
    /// It is to be installed, but another program manages the same hardware.
    #[error("a Server has a MAC address of this Machine, so it is not installed")]
    IsServer,
}

/// A Machine on which the decision about a request may be based.
#[derive(Clone, Debug)]
pub(crate) struct Confirmed {
    /// The Machine.
    pub(crate) machine: Arc<Machine>,
    /// Whether it has just been read from the API server.
    pub(crate) is_live: bool,
}

/// The Machine by which a request is decided that comes with a token or without: where an installation
/// is pending, or may be, that is what the API server has now. A machine with a BMC may be switched on for one of
/// which this replica has not heard yet: it would boot its old system. While the API server does not answer, it
/// does so all the same.
///
/// # Errors
///
/// If it does not answer, and only the cache says that an installation is pending.
pub(crate) async fn confirm(
    ctx: &Context,
    seen: &Arc<Machine>,
    has_token: bool,
) -> Result<Confirmed, Unconfirmed> {
    confirm_within(ctx, seen, has_token, PATIENCE).await
}

/// The same for a thread that answers all machines and cannot await. Waits for half a second at most,
/// and after that not again for some seconds.
///
/// # Errors
///
/// As those of [`confirm`].
pub(crate) fn confirm_here(
    ctx: &Arc<Context>,
    seen: &Arc<Machine>,
) -> Result<Arc<Machine>, Unconfirmed> {
    if !may_install(seen, ctx.now()) {
        return Ok(Arc::clone(seen));
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let (context, machine) = (Arc::clone(ctx), Arc::clone(seen));
    ctx.live.runtime.spawn(async move {
        let confirmed = confirm_within(&context, &machine, false, THREAD_PATIENCE).await;
        // The thread that asked may have stopped waiting.
        answer.send(confirmed).ok();
    });
    if let Ok(confirmed) = answered.recv_timeout(2 * THREAD_PATIENCE) {
        return Ok(confirmed?.machine);
    }
    confirmed(seen, None, ctx.now())?;
    Ok(Arc::clone(seen))
}

/// Whether the API server may know of a pending installation.
fn may_install(seen: &Machine, now: Clocks) -> bool {
    let has_bmc = seen.spec.pxe.as_ref().is_some_and(|pxe| pxe.redfish.is_some());
    has_bmc || installs(seen, now).is_some()
}

async fn confirm_within(
    ctx: &Context,
    seen: &Arc<Machine>,
    has_token: bool,
    patience: Duration,
) -> Result<Confirmed, Unconfirmed> {
    let now = ctx.now();
    let live = if has_token || may_install(seen, now) {
        ctx.live.read(&seen.name_any(), patience).await
    } else {
        None
    };
    let by = confirmed(seen, live.as_deref(), now)?;
    if installs(by, now).is_some() && !ctx.view.servers_like(by).is_empty() {
        return Err(Unconfirmed::IsServer);
    }
    let is_live = live.as_deref().is_some_and(|live| std::ptr::eq(live, by));
    let machine = live.filter(|_| is_live).unwrap_or_else(|| Arc::clone(seen));
    Ok(Confirmed { machine, is_live })
}
