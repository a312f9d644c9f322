//! Events of BootTokens and Hosts.
//!
//! They are published by a task of their own, so that a refusal takes as long for a token that
//! exists as for one that does not; and seldom enough that no stranger floods the cluster with them.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Resource,
    runtime::events::{EventType, Recorder},
};
use metal_base::Locked;
use metal_runtime::report::{Chain, event};
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::{
    sync::{
        Mutex as AsyncMutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Instant,
};

/// Notices that wait.
const WAITING: usize = 256;
/// One event of each reason, for each object, in this time.
const SELDOM: Duration = Duration::from_secs(10);
/// Objects that are remembered.
const OBJECTS: usize = 16_384;

/// What is to be told about an object.
#[derive(Debug)]
pub(crate) struct Notice {
    object: ObjectReference,
    type_: EventType,
    reason: &'static str,
    note: String,
}

/// The events that wait for being published.
pub(crate) struct Notices {
    sender: Sender<Notice>,
    receiver: AsyncMutex<Receiver<Notice>>,
    last: Mutex<Last>,
}

/// When was told what last.
#[derive(Debug, Default)]
struct Last {
    of: HashMap<(String, &'static str), Instant>,
    /// When room was made last.
    swept: Option<Instant>,
}

impl Default for Notices {
    fn default() -> Self {
        let (sender, receiver) = channel(WAITING);
        Self { sender, receiver: AsyncMutex::new(receiver), last: Mutex::default() }
    }
}

impl Notices {
    /// Tells of an object; best effort, because the status is the record.
    pub(crate) fn publish_event<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &'static str,
        note: String,
    ) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        if self.may(uid, reason) {
            let object = object.object_ref(&());
            // Where hundreds wait, one more would tell nobody anything.
            self.sender.try_send(Notice { object, type_, reason, note }).ok();
        }
    }

    fn may(&self, uid: String, reason: &'static str) -> bool {
        let mut last = self.last.locked();
        if last.of.len() >= OBJECTS && last.swept.is_none_or(|at| at.elapsed() >= SELDOM) {
            last.of.retain(|_, at| at.elapsed() < SELDOM);
            last.swept = Some(Instant::now());
        }
        let key = (uid, reason);
        let is_new = last.of.get(&key).is_none_or(|at| at.elapsed() >= SELDOM);
        if !is_new || last.of.len() >= OBJECTS {
            return false;
        }
        last.of.insert(key, Instant::now());
        true
    }

    /// Publishes forever.
    pub(crate) async fn publish(&self, recorder: &Recorder) {
        let mut receiver = self.receiver.lock().await;
        while let Some(Notice { object, type_, reason, note }) = receiver.recv().await {
            let event = event(type_, reason, "Boot", &note);
            if let Err(error) = recorder.publish(&event, &object).await {
                tracing::warn!(error = %Chain(&error), "event not published");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn the_same_is_told_of_an_object_only_so_often() {
        pause();
        let notices = Notices::default();
        let may = |uid: &str, reason| notices.may(uid.to_owned(), reason);
        assert!(may("a", "Expired") && may("a", "Revoked") && may("b", "Expired"));
        assert!(!may("a", "Expired"));
        advance(SELDOM).await;
        assert!(may("a", "Expired"));
    }

    #[tokio::test]
    async fn a_crowd_of_objects_takes_bounded_room_and_is_not_looked_through_for_each_of_them() {
        pause();
        let notices = Notices::default();
        let told = |numbers: std::ops::Range<usize>| {
            let told = numbers.filter(|number| notices.may(number.to_string(), "Expired")).count();
            let last = notices.last.lock().unwrap();
            (told, last.swept, last.of.len())
        };
        assert_eq!(told(0..OBJECTS), (OBJECTS, None, OBJECTS), "there is room");
        let first = told(OBJECTS..OBJECTS + 1).1;
        assert!(first.is_some());
        advance(SELDOM / 2).await;
        assert_eq!(told(OBJECTS..OBJECTS + 1000), (0, first, OBJECTS));
        advance(SELDOM).await;
        let (told, swept, left) = told(OBJECTS..OBJECTS + 1000);
        assert!(swept > first && (told, left) == (1000, 1000), "{told} are told, {left} kept");
    }
}
