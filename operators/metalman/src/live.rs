//! Machines as the API server has them at this moment. A replica whose watch is interrupted believes
//! in installations that are long over, so nothing that installs is served from the cache alone.

use crate::Context;
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt};
use metal_api::Machine;
use metal_core::machine::operations::{Behind, confirmed, installs};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Semaphore,
    time::{Instant, timeout},
};

/// How long a reading is used: a host that boots again after its installation needs longer.
const FRESH: Duration = Duration::from_secs(1);
/// How long a request of HTTP waits for the API server.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a thread waits that answers all machines.
const THREAD_PATIENCE: Duration = Duration::from_millis(500);
/// How long an API server that did not answer is not asked again.
const PAUSE: Duration = Duration::from_secs(2);
/// How many are read at a time.
const READS: usize = 16;
/// Maximum number of kept readings.
const KEPT: usize = 1024;

/// Reads Machines.
pub(crate) struct Live {
    machines: Api<Machine>,
    places: Semaphore,
    /// Where threads that cannot await have something done.
    pub(crate) runtime: Handle,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    readings: HashMap<String, (Instant, Arc<Machine>)>,
    /// When the API server last failed to answer.
    silent: Option<Instant>,
}

/// What is known without asking.
enum Cached {
    /// A reading that is new enough.
    Fresh(Arc<Machine>),
    /// That the API server does not answer.
    Silent,
    /// Nothing.
    Unknown,
}

/// Why it is not known what a machine may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unconfirmed {
    /// The API server does not answer.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// It is to be installed, and another program looks after the same hardware.
    #[error("a Server has a MAC address of this Machine, so it is not installed")]
    IsServer,
}

/// A Machine by which a request of it may be decided.
#[derive(Clone, Debug)]
pub(crate) struct Confirmed {
    /// The Machine.
    pub(crate) machine: Arc<Machine>,
    /// Whether the API server has just said so.
    pub(crate) is_live: bool,
}

impl Live {
    /// Reads by this client.
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            machines: Api::all(client.clone()),
            places: Semaphore::new(READS),
            runtime: Handle::current(),
            known: Mutex::default(),
        }
    }

    /// The Machine of this name; `None` if it is gone, or the API server does not answer.
    async fn read(&self, name: &str, patience: Duration) -> Option<Arc<Machine>> {
        match self.cached(name) {
            Cached::Fresh(machine) => return Some(machine),
            Cached::Silent => return None,
            Cached::Unknown => {}
        }
        let read = async {
            let _place = self.places.acquire().await.ok()?;
            // Whoever had the place may have read it.
            match self.cached(name) {
                Cached::Fresh(machine) => return Some(Some(machine)),
                Cached::Silent => return None,
                Cached::Unknown => {}
            }
            let machine = self.machines.get_opt(name).await.ok()?.map(Arc::new);
            self.keep(name, machine.as_ref());
            Some(machine)
        };
        let Ok(Some(machine)) = timeout(patience, read).await else {
            self.locked().silent = Some(Instant::now());
            return None;
        };
        machine
    }

    fn cached(&self, name: &str) -> Cached {
        let known = self.locked();
        let reading = known.readings.get(name).filter(|(at, _)| at.elapsed() < FRESH);
        match reading {
            Some((_, machine)) => Cached::Fresh(Arc::clone(machine)),
            None if known.silent.is_some_and(|since| since.elapsed() < PAUSE) => Cached::Silent,
            None => Cached::Unknown,
        }
    }

    fn keep(&self, name: &str, machine: Option<&Arc<Machine>>) {
        let mut known = self.locked();
        known.silent = None;
        if known.readings.len() >= KEPT {
            known.readings.retain(|_, (at, _)| at.elapsed() < FRESH);
        }
        if let Some(machine) = machine.filter(|_| known.readings.len() < KEPT) {
            known.readings.insert(name.to_owned(), (Instant::now(), Arc::clone(machine)));
        }
    }

    /// The Machine of this name has been written.
    pub(crate) fn forget(&self, name: &str) {
        self.locked().readings.remove(name);
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Machine by which a request is decided that comes with a token or without: where an installation
/// is pending, or may be, that is what the API server has now.
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
    if installs(seen, Timestamp::now()).is_none() {
        return Ok(Arc::clone(seen));
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let (context, machine) = (Arc::clone(ctx), Arc::clone(seen));
    ctx.live.runtime.spawn(async move {
        let confirmed = confirm_within(&context, &machine, false, THREAD_PATIENCE).await;
        // Whoever asked may not wait any longer.
        answer.send(confirmed).ok();
    });
    let confirmed = answered.recv_timeout(2 * THREAD_PATIENCE).map_err(|_| Behind)?;
    Ok(confirmed?.machine)
}

async fn confirm_within(
    ctx: &Context,
    seen: &Arc<Machine>,
    has_token: bool,
    patience: Duration,
) -> Result<Confirmed, Unconfirmed> {
    let now = Timestamp::now();
    let live = if has_token || installs(seen, now).is_some() {
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
