//! What people are told about the objects that say what machines boot: in the log, and by events.

use crate::recorder::MANAGER;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter as Source},
};
use metal_base::Locked;
use metal_runtime::{index::Ended, report};
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// How many are queued for reporting; booting machines repeat them.
const KEPT: usize = 64;
/// How soon an object gets an event of the same reason again.
const AGAIN: Duration = Duration::from_mins(10);
/// For how many objects this is remembered.
const REMEMBERED: usize = 4096;
/// Time limit for an event.
const DEADLINE: Duration = Duration::from_secs(10);

/// Notices to be reported.
#[derive(Debug, Default)]
pub(super) struct Notices {
    kept: Mutex<Vec<Notice>>,
    more: Notify,
}

/// A notice about some objects.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// The objects that get an event.
    pub(super) about: Vec<ObjectReference>,
    /// The reason of the event: one word.
    pub(super) reason: &'static str,
    /// The text, which contains no secret.
    pub(super) note: String,
}

impl Notices {
    /// Queues a notice. Never waits.
    pub(super) fn add(&self, notice: impl FnOnce() -> Notice) {
        let mut kept = self.kept.locked();
        if kept.len() < KEPT {
            kept.push(notice());
            self.more.notify_one();
        }
    }

    /// Reports notices forever.
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
            for notice in self.take() {
                if is_news(&mut told, &notice) {
                    notice.publish(&events).await;
                }
            }
        }
    }

    /// Empties the queue.
    pub(super) fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.kept.locked())
    }
}

/// Whether one of the objects has had no such event for a while.
fn is_news(told: &mut HashMap<String, Instant>, notice: &Notice) -> bool {
    let now = Instant::now();
    told.retain(|_, at| now.duration_since(*at) < AGAIN);
    let key = |about: &ObjectReference| format!("{} {}", notice.reason, named(about));
    let keys: Vec<_> = notice.about.iter().map(key).collect();
    let is_news = keys.iter().any(|key| !told.contains_key(key)) && told.len() < REMEMBERED;
    if is_news {
        told.extend(keys.into_iter().map(|key| (key, now)));
    }
    is_news
}

/// Kind, namespace and name of an object, for people.
pub(super) fn named(about: &ObjectReference) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, name) = (text(&about.kind), text(&about.name));
    match &about.namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

impl Notice {
    async fn publish(&self, events: &Recorder) {
        let Self { about, reason, note } = self;
        tracing::warn!(reason, note, "refusing to boot a machine");
        let event = self.event();
        for about in about {
            if timeout(DEADLINE, report::publish(events, &event, about)).await.is_err() {
                tracing::warn!("timed out publishing an event");
            }
        }
    }

    fn event(&self) -> Event {
        report::event(EventType::Warning, self.reason, "Boot", &self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_of_servers_with_long_names_is_told() {
        let names = "a".repeat(8 * 253);
        let notice = Notice { about: vec![], reason: "AmbiguousIdentity", note: names };
        let note = notice.event().note.unwrap();
        assert!(note.starts_with('a') && note.len() <= 1024, "the API server refuses it: {note}");
    }
}
