//! Servers whose identities contradict each other: their machines boot nothing, and both servers
//! get an event.

use crate::recorder::MANAGER;
use kube::{
    Client, Resource, ResourceExt,
    runtime::events::{Event, EventType, Recorder, Reporter as Source},
};
use metal_api::Server;
use metal_core::boot::decision::Identity;
use metal_runtime::{
    index::Ended,
    report::{self, Chain},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// How many are queued for reporting; booting machines repeat them.
const KEPT: usize = 64;
/// How soon a server gets an event again.
const AGAIN: Duration = Duration::from_mins(10);
/// For how many servers this is remembered.
const REMEMBERED: usize = 4096;
/// Time limit for an event.
const DEADLINE: Duration = Duration::from_secs(10);

/// Conflicts to be reported.
#[derive(Debug, Default)]
pub(super) struct IdentityConflicts {
    kept: Mutex<Vec<IdentityConflict>>,
    more: Notify,
}

/// A machine whose identity several servers have.
#[derive(Clone, Debug)]
struct IdentityConflict {
    identity: Identity,
    servers: Vec<Arc<Server>>,
}

impl IdentityConflicts {
    /// Queues a conflict. Never waits.
    pub(super) fn note(&self, identity: Identity, servers: impl Iterator<Item = Arc<Server>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(IdentityConflict { identity, servers: servers.collect() });
            self.more.notify_one();
        }
    }

    /// Reports conflicts for ever: in the log, and on every server.
    ///
    /// # Errors
    ///
    /// None; it runs for as long as the watches.
    pub(super) async fn tell(&self, client: &Client) -> Result<(), Ended> {
        let source = Source { controller: MANAGER.to_owned(), instance: None };
        let events = Recorder::new(client.clone(), source);
        let mut told = HashMap::new();
        loop {
            self.more.notified().await;
            for quarrel in self.take() {
                if is_news(&mut told, &quarrel) {
                    quarrel.publish(&events).await;
                }
            }
        }
    }

    fn take(&self) -> Vec<IdentityConflict> {
        std::mem::take(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The names of the servers in queued conflicts, for tests.
    #[cfg(test)]
    pub(super) fn noted(&self) -> Vec<Vec<String>> {
        let names =
            |quarrel: &IdentityConflict| quarrel.servers.iter().map(|it| it.name_any()).collect();
        self.take().iter().map(names).collect()
    }
}

/// Whether one of the servers has not got an event for a while.
fn is_news(told: &mut HashMap<String, Instant>, quarrel: &IdentityConflict) -> bool {
    let now = Instant::now();
    told.retain(|_, at| now.duration_since(*at) < AGAIN);
    let names: Vec<_> = quarrel.servers.iter().map(|server| server.name_any()).collect();
    let is_news = names.iter().any(|name| !told.contains_key(name)) && told.len() < REMEMBERED;
    if is_news {
        told.extend(names.into_iter().map(|name| (name, now)));
    }
    is_news
}

impl IdentityConflict {
    async fn publish(&self, events: &Recorder) {
        let note = self.note();
        tracing::warn!(note, "refusing to boot a machine");
        let event = told(&note);
        for server in &self.servers {
            let about = server.object_ref(&());
            match timeout(DEADLINE, events.publish(&event, &about)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(
                    error = %Chain(&error),
                    "could not publish an event",
                ),
                Err(_) => tracing::warn!("timed out publishing an event"),
            }
        }
    }

    fn note(&self) -> String {
        const SHOWN: usize = 8;
        let names = self.servers.iter().take(SHOWN).map(|server| server.name_any());
        let names = names.collect::<Vec<_>>().join(", ");
        let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        let uuid = said(self.identity.uuid.map(|uuid| uuid.to_string()));
        let mac = said(self.identity.mac.map(|mac| mac.to_string()));
        format!(
            "the machine with UUID {uuid} and MAC address {mac} is not booted, because it matches \
             several Servers ({names}): set a unique UUID for each machine, and correct or delete \
             the wrong Servers"
        )
    }
}

fn told(note: &str) -> Event {
    report::event(EventType::Warning, "AmbiguousIdentity", "Boot", note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::ServerSpec;

    #[test]
    fn a_conflict_of_servers_with_long_names_is_told() {
        let name = |number: usize| format!("{number}{}", "a".repeat(252));
        let server = |number| Arc::new(Server::new(&name(number), ServerSpec::default()));
        let servers = (0..8).map(server).collect();
        let conflict = IdentityConflict { identity: Identity::default(), servers };
        let note = told(&conflict.note()).note.unwrap();
        assert!(note.contains(&name(0)) && note.len() <= 1024, "the API server refuses it: {note}");
    }
}
